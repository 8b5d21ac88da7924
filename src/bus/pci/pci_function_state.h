#pragma once

#include <vector>

#include "bus/pci/pci_config_space.h"
#include "bus/pci/pci_function.h"

// What the sources of PciFunction share.
namespace mynah {

struct PciFunction::State {
    PciConfigSpace config;
    bool intx = false;           // what the device wants
    std::vector<uint8_t> table;  // MSI-X: entries as the guest sees them
    std::vector<uint64_t> pending;
};

// A BAR or the ROM. What is fixed, and where it is now (for whoever carries out moves).
struct PciFunction::BarSlot {
    unsigned number;  // index; pci::kBars: the ROM
    Bar kind;
    uint64_t size;
    unsigned config_offset;
    std::unique_ptr<Window> window;  // registers, or ...
    std::vector<Bell> bells;
    GuestMemory::Block block;        // ... memory
    unsigned overlay = 0;
    uint64_t placed = kNowhere;

    bool is_rom() const { return number == pci::kBars; }
    bool is_io() const { return kind == Bar::kIo; }
    bool is_64() const { return kind == Bar::kMemory64 || kind == Bar::kPrefetchable64; }
};

// Between the bus and the device's handler: keeps BARs with one handler apart, and takes the MSI-X
// structures out.
class PciFunction::Window final : public IoHandler {
  public:
    Window(PciFunction& function, IoHandler& handler) : function_(function), handler_(handler) {}
    void put_msix(uint64_t table, uint64_t table_bytes, uint64_t pending, uint64_t pending_bytes) {
        table_ = table, table_bytes_ = table_bytes;
        pending_ = pending, pending_bytes_ = pending_bytes;
    }

    uint64_t read(uint64_t offset, unsigned size) override {
        if (offset - table_ < table_bytes_) return function_.msix_read(true, offset - table_, size);
        if (offset - pending_ < pending_bytes_)
            return function_.msix_read(false, offset - pending_, size);
        return handler_.read(offset, size);
    }
    void write(uint64_t offset, unsigned size, uint64_t value) override {
        if (offset - table_ < table_bytes_) {
            function_.msix_write(offset - table_, size, value);
        } else if (offset - pending_ >= pending_bytes_) {
            handler_.write(offset, size, value);
        }
    }

  private:
    PciFunction& function_;
    IoHandler& handler_;
    uint64_t table_ = 0, table_bytes_ = 0, pending_ = 0, pending_bytes_ = 0;
};

// Messages to send once the lock is released.
struct PciFunction::Messages {
    std::vector<MsiMessage> items;
};

}  // namespace mynah
