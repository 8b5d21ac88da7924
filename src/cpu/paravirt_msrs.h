#pragma once

#include <cstdint>

namespace mynah {

// What a guest wrote to those MSRs of KVM's paravirtual interface that an engine may have inside
// [msr.rst MSR_KVM_STEAL_TIME, MSR_KVM_PV_EOI_EN]. 0: switched off.
struct ParavirtMsrs {
    uint64_t steal_time = 0, pv_eoi = 0;
};

}  // namespace mynah
