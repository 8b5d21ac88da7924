#pragma once

#include <cstdint>

#include "base/mutex.h"
#include "bus/io_handler.h"
#include "bus/pci/pci_bus.h"

namespace mynah {

// Configuration mechanism 1: address and data port, CF8h to CFFh on a PC [PCI 3.0 3.2.2.3.2]. Only
// a dword reaches the address register; PCs have their reset control register under its second
// byte, which gets the byte accesses to it. Any thread: but as on silicon, two processors that use
// the ports at once disturb each other.
class PciConfigPorts final : public IoHandler {
  public:
    // Both outlive it.
    PciConfigPorts(PciBus& bus, IoHandler& reset_control)
        : bus_(bus), reset_control_(reset_control) {}

    uint64_t read(uint64_t offset, unsigned size) override EXCLUDES(mutex_);
    void write(uint64_t offset, unsigned size, uint64_t value) override EXCLUDES(mutex_);
    void reset() EXCLUDES(mutex_);

  private:
    uint32_t address() EXCLUDES(mutex_);

    PciBus& bus_;
    IoHandler& reset_control_;
    Mutex mutex_;
    uint32_t address_ GUARDED_BY(mutex_) = 0;
};

// The enhanced configuration access mechanism: 4 KiB of memory for each function [PCIe 3.0 7.2.2].
// Any thread.
class PciEcam final : public IoHandler {
  public:
    explicit PciEcam(PciBus& bus) : bus_(bus) {}
    static constexpr uint64_t kBytesPerBus = uint64_t{1} << 20;

    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, unsigned size, uint64_t value) override;

  private:
    PciBus& bus_;
};

}  // namespace mynah
