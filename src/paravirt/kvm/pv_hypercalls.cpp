// [hypercalls.rst], on the processor that makes the call.

#include <bit>
#include <limits>

#include "paravirt/kvm/paravirt_kvm.h"
#include "spec/kvm/paravirt.h"

namespace mynah {

namespace guest = kvm_guest;

// Outside 64-bit code only the low halves of the registers count, the answer's too.
void ParavirtKvmVcpu::hypercall(CpuState& state) {
    ++hypercalls_;
    const bool long_mode = state.code64();
    const uint64_t mask = long_mode ? ~uint64_t{0} : std::numeric_limits<uint32_t>::max();
    const Call call{.number = state.gpr[kRax] & mask,
                    .arguments = {state.gpr[kRbx] & mask, state.gpr[kRcx] & mask,
                                  state.gpr[kRdx] & mask, state.gpr[kRsi] & mask},
                    .long_mode = long_mode};
    const int64_t result = state.cpl() != 0 ? guest::kEperm : answer(call);
    state.gpr[kRax] = static_cast<uint64_t>(result) & mask;
}

int64_t ParavirtKvmVcpu::answer(const Call& call) {
    const auto& a = call.arguments;
    switch (static_cast<guest::Hypercall>(call.number)) {
        case guest::Hypercall::kVapicPollIrq:
            return 0;  // the way here looked for interrupts
        case guest::Hypercall::kKickCpu:
            return kick(a[1]);
        case guest::Hypercall::kClockPairing:
            return pair_clocks(a[0], a[1]);
        case guest::Hypercall::kSendIpi:
            return send_ipi(call);
        case guest::Hypercall::kSchedYield:
            // Linux has no way to hand a thread's processor to a particular other one.
            host_.yield();
            return 0;
    }
    return guest::kEnosys;
}

int64_t ParavirtKvmVcpu::kick(uint64_t apic_id) {
    if (apic_id <= std::numeric_limits<uint32_t>::max())
        (void)host_.unhalt(static_cast<uint32_t>(apic_id));
    return 0;
}

// Two words of bits, each for as many processors as the mode has bits, from an APIC id on. How many
// were reached.
int64_t ParavirtKvmVcpu::send_ipi(const Call& call) {
    const auto& [low, high, first, icr] = call.arguments;
    const bool nmi = (icr & guest::kIcrMode) == guest::kIcrNmi;
    if ((icr & guest::kIcrShorthand) != 0) return guest::kEinval;
    if (!nmi && (icr & guest::kIcrMode) != guest::kIcrFixed) return guest::kEinval;
    const auto vector = static_cast<uint8_t>(icr & guest::kIcrVector);
    const unsigned width = call.long_mode ? 64 : 32;
    int64_t reached = 0;
    uint64_t base = static_cast<uint32_t>(first);
    for (uint64_t bits : {low, high}) {
        for (; bits != 0; bits &= bits - 1) {
            const uint64_t id = base + static_cast<unsigned>(std::countr_zero(bits));
            if (id > std::numeric_limits<uint32_t>::max()) break;
            const auto target = static_cast<uint32_t>(id);
            if (nmi ? host_.send_nmi(target) : host_.send_interrupt(target, vector)) ++reached;
        }
        base += width;
    }
    return reached;
}

int64_t ParavirtKvmVcpu::pair_clocks(uint64_t where, uint64_t kind) {
    if (kind != guest::kClockPairingWallClock) return guest::kEopnotsupp;
    const PvClock::Pairing now = clock_.pair(index_);
    constexpr uint64_t kNsPerSecond = 1'000'000'000;
    guest::ClockPairing pairing{};
    pairing.sec = static_cast<int64_t>(now.unix_ns / kNsPerSecond);
    pairing.nsec = static_cast<int64_t>(now.unix_ns % kNsPerSecond);
    pairing.tsc = now.tsc;
    return memory_.store(GuestPhys(where), pairing) ? 0 : guest::kEfault;
}

}  // namespace mynah
