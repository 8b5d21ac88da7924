#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "bus/interrupt_line.h"
#include "bus/io_handler.h"
#include "bus/io_space.h"
#include "bus/msi_sink.h"
#include "bus/pci/pci_address.h"
#include "memory/dma_view.h"
#include "memory/guest_memory.h"

namespace mynah {

// What a PCI function is plugged into; made by the board for each function. All outlive it.
struct PciAttachment {
    IoSpace& ports;         // where I/O BARs are placed
    IoSpace& memory_space;  // where memory BARs are placed
    GuestMemory& memory;
    InterruptLine& intx;  // this function's pin, low to begin with; the board routes it
    MsiSink& msi;
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
};

// One PCI or PCI Express function: its configuration space, its BARs and how it interrupts and
// reaches memory [PCI 3.0 6; PCIe 3.0 7]. A device owns one and hands it the handlers of its
// register windows. Everything is laid out before the machine runs; after that any function may be
// called from any thread, and none of them calls a device back but for on_config_write.
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
    // The guest's accesses go straight to the memory.
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
    // Told after the guest wrote to [offset, offset+size), with no lock held.
    void on_config_write(std::function<void(unsigned offset, unsigned size)> told);

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
    // Registers 0 to 4095, size 1, 2 or 4, not crossing a dword.
    uint32_t config_read(unsigned offset, unsigned size) EXCLUDES(mutex_);
    void config_write(unsigned offset, unsigned size, uint32_t value) EXCLUDES(mutex_);
    // Back to the state after power-on: BARs unplaced, command clear.
    void reset() EXCLUDES(mutex_);
    // As firmware would see it: the current value without the guest's side effects.
    uint16_t command() const;

  private:
    struct Layout;
    struct State;
    class MsixWindow;

    const PciAttachment at_;
    DmaView dma_;
    mutable Mutex mutex_;
    std::unique_ptr<Layout> layout_;
    std::unique_ptr<State> state_ GUARDED_BY(mutex_);
};

}  // namespace mynah
