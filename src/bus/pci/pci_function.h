#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "bus/interrupt_line.h"
#include "bus/io_handler.h"
#include "bus/io_space.h"
#include "bus/line_driver.h"
#include "bus/msi_sink.h"
#include "bus/pci/pci_address.h"
#include "bus/serial_update.h"
#include "memory/dma_view.h"
#include "memory/guest_memory.h"
#include "spec/pci/config_registers.h"

namespace mynah {

// What a PCI function is plugged into; made by the board for each function. All outlive it.
struct PciAttachment {
    IoSpace& ports;         // where I/O BARs are placed
    IoSpace& memory_space;  // where memory BARs are placed
    GuestMemory& memory;
    InterruptLine& intx;  // this function's pin, low to begin with; the board routes it
    MsiSink& msi;
    // Between the function and memory; null: nothing. What it writes as interrupts does not pass it.
    const DmaTranslation* translation = nullptr;
    // Which pin `intx` is, 1 to 4; 0: the one that the function is used to.
    uint8_t intx_pin = 0;
};

// What a function says it is [PCI 3.0 6.2.1].
struct PciIdentity {
    uint16_t vendor;
    uint16_t device;
    uint32_t class_code;  // class, subclass, programming interface: 24 bits
    uint8_t revision = 0;
    uint16_t subsystem_vendor = 0;
    uint16_t subsystem = 0;
    uint8_t interrupt_pin = 1;  // 1: INTA# .. 4: INTD#; 0: none
    bool bridge = false;        // header type 1: a PCI-to-PCI bridge or root port
};

// One PCI or PCI Express function: its configuration space, its BARs and how it interrupts and
// reaches memory [PCI 3.0 6; PCIe 3.0 7]. A device owns one and hands it the handlers of its
// register windows. Everything is laid out before the machine runs; after that any function may be
// called from any thread, and none of them calls a device back but for on_config_write and
// on_config_read.
//
// A BAR answers where the guest put it as soon as the command register says so; one at address 0,
// or beyond the address space, does not. Left out: the windows of bridges between a function and
// the host do not limit what it answers to, and errors are never reported.
class PciFunction {
  public:
    PciFunction(const PciAttachment& attachment, const PciIdentity& identity);
    ~PciFunction();
    PciFunction(const PciFunction&) = delete;
    PciFunction& operator=(const PciFunction&) = delete;

    // --- layout, before the machine runs; sizes are powers of two ---
    enum class Bar : uint8_t { kIo, kMemory32, kMemory64, kPrefetchable32, kPrefetchable64 };
    // 64-bit BARs take `index` and the next. The handler is called with offsets in the BAR, from
    // any vCPU thread, and never while the BAR is disabled by the command register.
    void add_bar(unsigned index, Bar kind, uint64_t size, IoHandler& handler);
    // Doorbells in a BAR that is there.
    void add_bells(unsigned index, std::vector<Bell> bells);
    // The guest's accesses go straight to the memory; never where RAM is.
    void add_memory_bar(unsigned index, Bar kind, const GuestMemory::Block& block);
    // The expansion ROM: its bytes, rounded up to a power of two.
    void add_rom(const GuestMemory::Block& block);
    // Returns the capability's offset. `body`: what follows id and next pointer, `writable` a mask
    // of the same length [PCI 3.0 6.7].
    unsigned add_capability(uint8_t id, std::vector<uint8_t> body, std::vector<uint8_t> writable);
    // vectors: a power of two to 32 [PCI 3.0 6.8.1].
    void add_msi(unsigned vectors);
    // Table and pending bits lie in memory BAR `bar`, whose handler gets what is outside of them;
    // offsets are multiples of 8 and the two do not overlap [PCI 3.0 6.8.2].
    void add_msix(unsigned vectors, unsigned bar, uint32_t table_offset, uint32_t pending_offset);
    // An integrated or plain endpoint's PCI Express capability.
    enum class Express : uint8_t {
        kEndpoint = 0,
        kLegacyEndpoint = 1,
        kRootPort = 4,
        kIntegrated = 9
    };
    unsigned add_express(Express kind);
    // Sets bytes that the guest reads, and which of their bits it may write; for what a class of
    // devices keeps in configuration space beyond the standard header.
    void set_config(unsigned offset, unsigned size, uint32_t value, uint32_t writable = 0);
    // Bits that the guest clears by writing ones to them, in bytes that are there already.
    void set_config_clearable(unsigned offset, unsigned size, uint32_t clearable);
    // Told after the guest wrote to [offset, offset+size), with no lock held.
    void on_config_write(std::function<void(unsigned offset, unsigned size)> told);
    // Asked before the guest reads [offset, offset+size), with no lock held, so that store_config()
    // can put there what only a read makes.
    void on_config_read(std::function<void(unsigned offset, unsigned size)> asked);

    // --- interrupts and memory, while the machine runs; the caller holds no device lock ---
    // Level of the INTx pin; nothing comes out while the guest has disabled it or MSI is on.
    void set_intx(bool level);
    bool msi_enabled() const;  // MSI or MSI-X
    // The message of this vector; MSI vectors beyond those the guest enabled wrap as the
    // specification says. Nothing is sent when MSI is off or bus mastering is disabled; a masked
    // vector becomes pending.
    void send_msi(unsigned vector);
    // Guest memory, as far as the function may reach it: while bus mastering is disabled every
    // access fails.
    const DmaView& dma() const { return dma_; }

    // --- the bus ---
    // Registers 0 to 4095, size 1, 2 or 4, not crossing a dword. Beyond 255 there is something only
    // in functions with add_express().
    uint32_t config_read(unsigned offset, unsigned size) EXCLUDES(mutex_);
    void config_write(unsigned offset, unsigned size, uint32_t value) EXCLUDES(mutex_);
    // Back to the state after power-on: BARs unplaced, command clear.
    void reset() EXCLUDES(mutex_);
    // The device is about to go: nothing calls its handlers any more when this returns.
    void unplug() EXCLUDES(mutex_);
    // As firmware would see it: the current value without the guest's side effects.
    uint16_t command() const EXCLUDES(mutex_);
    // Registers as they stand; on_config_read is not asked.
    uint32_t peek_config(unsigned offset, unsigned size) const EXCLUDES(mutex_);
    // The device changes registers of its own while the machine runs (a status, say); masks do not
    // apply, and on_config_write is not told.
    void store_config(unsigned offset, unsigned size, uint32_t value) EXCLUDES(mutex_);
    // The same for some of their bits: those of `clear` go, those of `set` come.
    void change_config(unsigned offset, unsigned size, uint32_t clear, uint32_t set)
        EXCLUDES(mutex_);
    // Which bits the guest may write from now on, until the next reset (registers that lock).
    void lock_config(unsigned offset, unsigned size, uint32_t writable) EXCLUDES(mutex_);

  private:
    class Window;
    struct BarSlot;
    struct Messages;
    struct State;

    static constexpr uint64_t kNowhere = 0;
    using Places = std::array<uint64_t, pci::kBars + 1>;  // of the BARs and the ROM

    BarSlot& new_bar(unsigned index, Bar kind, uint64_t size);
    uint64_t bar_place(const BarSlot& bar) const REQUIRES(mutex_);
    Places wanted_places() const REQUIRES(mutex_);
    void apply_places() EXCLUDES(mutex_);
    void move_bar(BarSlot& bar, uint64_t to);
    void set_overlay(const BarSlot& bar, uint64_t at);
    void update() REQUIRES(mutex_);
    bool intx_wanted() const REQUIRES(mutex_);
    bool msi_on() const REQUIRES(mutex_);
    bool msix_on() const REQUIRES(mutex_);
    void collect_pending(Messages& out) REQUIRES(mutex_);
    void send(const Messages& messages) EXCLUDES(mutex_);
    MsiMessage msi_message(unsigned vector) const REQUIRES(mutex_);
    MsiMessage msix_message(unsigned vector) const REQUIRES(mutex_);
    bool msi_masked(unsigned vector) const REQUIRES(mutex_);
    bool msix_masked(unsigned vector) const REQUIRES(mutex_);
    // Accesses to MSI-X table and pending bits, by their bytes.
    uint64_t msix_read(bool table, uint64_t offset, unsigned size) EXCLUDES(mutex_);
    void msix_write(uint64_t offset, unsigned size, uint64_t value) EXCLUDES(mutex_);

    const PciAttachment at_;
    const bool bridge_;
    std::atomic<bool> bus_master_{false};
    DmaView dma_;
    LineDriver intx_;
    std::vector<std::unique_ptr<BarSlot>> bars_;
    unsigned msi_ = 0, msi_vectors_ = 0;    // offset of the capability; 0: none
    unsigned msix_ = 0, msix_vectors_ = 0;  // likewise
    unsigned express_ = 0, last_capability_ = 0;
    std::function<void(unsigned, unsigned)> told_, asked_;
    SerialUpdate moves_;
    mutable Mutex mutex_;
    std::unique_ptr<State> state_ GUARDED_BY(mutex_);
};

}  // namespace mynah
