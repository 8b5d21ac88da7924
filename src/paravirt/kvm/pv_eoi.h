#pragma once

#include <cstdint>
#include <optional>

#include "bus/silent_eoi.h"
#include "memory/dma_view.h"

namespace mynah {

// The end of an interrupt by a cleared bit [msr.rst MSR_KVM_PV_EOI_EN]. When that is right is
// the local APIC's business. Own thread only.
class PvEoi final : public SilentEoi {
  public:
    explicit PvEoi(DmaView memory) : memory_(memory) {}

    // Nothing is on offer then.
    void place(std::optional<GuestPhys> where) { where_ = where; }
    bool offer() override;
    bool withdraw() override;

    uint64_t ended() const { return ended_; }  // interrupts that the guest ended so

  private:
    const DmaView memory_;
    std::optional<GuestPhys> where_;
    uint64_t ended_ = 0;
};

}  // namespace mynah
