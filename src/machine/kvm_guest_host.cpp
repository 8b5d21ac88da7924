#include "machine/kvm_guest_host.h"

#include <sched.h>
#include <time.h>

#include "host/tsc.h"

namespace mynah {

KvmGuestHost::KvmGuestHost(const VmClock& clock, ApicBus& apic_bus,
                           const std::vector<std::unique_ptr<Processor>>& processors,
                           uint32_t vcpus)
    : clock_(clock),
      apic_bus_(apic_bus),
      processors_(processors),
      has_run_delay_(RunDelay::available()),
      run_delays_(vcpus) {}

// Of several tries the one with the least time in between, as a thread can be preempted anywhere.
KvmHost::Moment KvmGuestHost::now() {
    constexpr unsigned kTries = 8;
    Moment best{};
    uint64_t best_width = ~uint64_t{0};
    for (unsigned i = 0; i < kTries; ++i) {
        const uint64_t before = read_host_tsc();
        const uint64_t ns = clock_.now_ns();
        const uint64_t width = read_host_tsc() - before;
        if (width >= best_width) continue;
        best_width = width;
        best = {.tsc = before + width / 2, .ns = ns};
    }
    return best;
}

uint64_t KvmGuestHost::wall_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

std::optional<uint64_t> KvmGuestHost::run_delay_ns(VcpuIndex vcpu) {
    auto& delay = run_delays_[vcpu.value];
    if (!delay) {
        const pid_t thread = processors_[vcpu.value]->thread().host_thread();
        if (!has_run_delay_ || thread == 0) return std::nullopt;
        delay.emplace(thread);
    }
    return delay->read_ns();
}

bool KvmGuestHost::send_interrupt(uint32_t apic_id, uint8_t vector) {
    if (apic_id == ApicMessage::kBroadcast) return false;
    return apic_bus_.deliver({.destination = apic_id, .vector = vector});
}

bool KvmGuestHost::send_nmi(uint32_t apic_id) {
    if (apic_id == ApicMessage::kBroadcast) return false;
    return apic_bus_.deliver({.destination = apic_id, .mode = DeliveryMode::kNmi});
}

bool KvmGuestHost::unhalt(uint32_t apic_id) {
    for (const auto& processor : processors_) {
        if (processor->apic().apic_id() != apic_id) continue;
        processor->signals().raise(CpuSignals::kUnhalt);
        return true;
    }
    return false;
}

void KvmGuestHost::yield() { sched_yield(); }

void KvmGuestHost::flush_tlb(VcpuIndex vcpu) {
    processors_[vcpu.value]->signals().raise(CpuSignals::kMemoryMap);
}

}  // namespace mynah
