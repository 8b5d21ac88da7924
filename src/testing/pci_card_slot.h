#pragma once

#include <memory>
#include <span>

#include "bus/pci/pci_function.h"
#include "testing/recording_line.h"
#include "testing/recording_msi_sink.h"

namespace mynah::testing {

// A place for one PCI function, with RAM, its interrupt pin and its messages recorded.
class PciCardSlot {
  public:
    explicit PciCardSlot(uint64_t ram = uint64_t{1} << 20, uint64_t blocks = uint64_t{1} << 20) {
        const GuestMemory::Range range{GuestPhys(0), ram};
        memory_ = GuestMemory::create(std::span(&range, 1), blocks).take_value();
    }
    PciAttachment attachment() { return {ports_, memory_space_, *memory_, intx_, msi_}; }

    IoSpace& ports() { return ports_; }
    IoSpace& memory_space() { return memory_space_; }
    GuestMemory& memory() { return *memory_; }
    RecordingLine& intx() { return intx_; }
    RecordingMsiSink& msi() { return msi_; }

  private:
    IoSpace ports_, memory_space_;
    std::unique_ptr<GuestMemory> memory_;
    RecordingLine intx_;
    RecordingMsiSink msi_;
};

}  // namespace mynah::testing
