#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "cpu/address.h"
#include "memory/dma_view.h"
#include "paravirt/kvm/kvm_host.h"

namespace mynah {

// A TSC's ticks as nanoseconds: ((ticks << shift) * mul) >> 32, a negative shift to the right.
struct TscScale {
    uint32_t mul = 0;
    int8_t shift = 0;

    static TscScale of(uint64_t tsc_hz);  // 1 kHz to 2^40 Hz
    uint64_t ns(uint64_t ticks) const;
};

// kvmclock: tells each processor how its TSC becomes the machine's time [msr.rst
// MSR_KVM_SYSTEM_TIME_NEW]. All are told by one line through one moment, so what they read is in
// order; the flag that says so is there as long as their TSCs agree, as Linux reads the first
// processor's structure with any processor's TSC then (vDSO).
// Any thread: a structure may be written while its processor reads it, the version says so.
class PvClock {
  public:
    PvClock(DmaView memory, KvmHost& host, uint64_t tsc_hz, uint32_t vcpus);

    // Power-up and reset, no processor runs: nobody is told anything, TSCs are host TSC + offset.
    void reset(uint64_t tsc_offset) EXCLUDES(mutex_);
    // From here on this processor is told there; nothing: nowhere.
    void place(VcpuIndex vcpu, std::optional<GuestPhys> where) EXCLUDES(mutex_);
    // The guest moved this processor's TSC.
    void tsc_moved(VcpuIndex vcpu, uint64_t tsc_offset) EXCLUDES(mutex_);
    // The machine stood still for a while: all are told, so that nothing takes it for a hang.
    void stopped() EXCLUDES(mutex_);

    // The wall time at which the machine's clock was 0 [MSR_KVM_WALL_CLOCK_NEW].
    void write_wall_clock(GuestPhys where) EXCLUDES(mutex_);
    GuestPhys wall_clock() EXCLUDES(mutex_);  // where it was written last, by any processor
    // What KVM_HC_CLOCK_PAIRING tells: Unix time, and this processor's TSC then.
    struct Pairing {
        uint64_t unix_ns, tsc;
    };
    Pairing pair(VcpuIndex vcpu) EXCLUDES(mutex_);

  private:
    struct Told {
        std::optional<GuestPhys> where;
        uint64_t tsc_offset = 0;
    };
    bool stable() const REQUIRES(mutex_);
    void write(const Told& told, bool was_stopped) REQUIRES(mutex_);
    void write_all(bool was_stopped) REQUIRES(mutex_);

    const DmaView memory_;
    KvmHost& host_;
    const TscScale scale_;
    Mutex mutex_;
    KvmHost::Moment base_ GUARDED_BY(mutex_){};
    std::vector<Told> vcpus_ GUARDED_BY(mutex_);
    GuestPhys wall_clock_ GUARDED_BY(mutex_);
};

}  // namespace mynah
