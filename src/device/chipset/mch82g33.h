#pragma once

#include <array>
#include <cstdint>

#include "bus/pci/pci_config_access.h"
#include "bus/pci/pci_function.h"
#include "bus/serial_update.h"
#include "device/chipset/mch82g33_registers.h"
#include "memory/guest_memory.h"

namespace mynah {

// The host bridge of the 82G33/Q35 memory controller hub [3SERIES 5.1]: which memory lies below
// 1 MiB (PAM), system management memory (SMRAM, TSEG), and where the ECAM window is (PCIEXBAR).
// Left out: graphics, DMI registers, everything that trains memory. Guest memory has RAM from 0 on,
// whole up to `low_memory_end`. Any thread.
class Mch82G33 {
  public:
    struct Config {
        GuestMemory::Block rom;  // the firmware's end: read below 1 MiB while no PAM says otherwise
        uint64_t low_memory_end;  // bytes of RAM below 4 GiB
    };
    Mch82G33(const PciAttachment& attachment, PciBus& bus, const Config& config);
    ~Mch82G33();

    // Takes the overlays that lie over those of devices, when all of those were made, and shows the
    // guest the memory of a machine after power-on.
    void finish();
    void reset();

    PciFunction& function() { return function_; }
    // What lies behind the ROM below 1 MiB, for writes: 256 KiB from C0000h on.
    IoHandler& shadow_writes() { return shadow_writes_; }

  private:
    class ShadowWrites final : public IoHandler {
      public:
        explicit ShadowWrites(Mch82G33& mch) : mch_(mch) {}
        uint64_t read(uint64_t, unsigned) override { return ~uint64_t{0}; }
        void write(uint64_t offset, unsigned size, uint64_t value) override;

      private:
        Mch82G33& mch_;
    };

    void define_registers();
    void written(unsigned offset, unsigned size);
    void apply();
    void apply_ecam();
    void apply_pam(unsigned segment);
    void apply_management_memory();
    uint8_t pam(unsigned segment);
    uint64_t tseg_bytes();

    GuestMemory& memory_;
    IoSpace& memory_space_;
    const GuestMemory::Block rom_;
    const uint64_t low_memory_end_;
    std::byte* const ram_;  // RAM from 0 on, whatever lies over it
    PciFunction function_;
    PciEcam ecam_;
    ShadowWrites shadow_writes_;
    SerialUpdate update_;
    uint64_t ecam_base_ = 0;  // update_ orders its changes
    unsigned hole_slot_ = 0, smram_slot_ = 0, tseg_slot_ = 0;
    std::array<unsigned, mch::pam::kSegments> pam_slots_{};
};

}  // namespace mynah
