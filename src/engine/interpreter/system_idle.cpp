// HLT PAUSE MONITOR MWAIT [SDM 2A, 2B].

#include <sched.h>
#include <time.h>

#include "engine/interpreter/operand.h"
#include "engine/interpreter/system.h"

namespace mynah::interpreter {
namespace {

Outcome hlt(Core& core, const Op& op) {
    return privileged(core) ? core.stop_after(op, VcpuExit::kHalted) : Outcome::kFault;
}

// A guest that spins waits for another vCPU, which may be waiting for this thread's host
// processor: give it away now and then.
Outcome pause(Core&, const Op&) {
    constexpr unsigned kPausesPerYield = 64;
    thread_local unsigned pauses = 0;
    if (++pauses % kPausesPerYield == 0) sched_yield();
    return Outcome::kNext;
}

Outcome monitor(Core& core, const Op& op) {
    if (core.s.cpl() != 0) return core.raise(Exception::ud());
    if (core.reg<uint32_t>(kRcx) != 0) return core.raise(Exception::gp());
    uint64_t offset = core.s.gpr[kRax], linear;
    if (op.address_bits != 64) offset &= low_mask(op.address_bits);
    bool faulted = false;
    if (!core.segment_linear(op.segment, offset, 1, AccessKind::kRead, linear))
        return Outcome::kFault;
    core.host_for_read(linear, 1, faulted);
    return faulted ? Outcome::kFault : Outcome::kNext;
}
bool build_monitor(Build& b) {
    b.op.address_bits = static_cast<uint8_t>(b.instruction.info.address_width);
    b.op.segment = hidden_memory_segment(b);
    return b.done(monitor);
}

// Nobody tells when another processor writes to the monitored line, and a store that is missed
// must not hang the guest: MWAIT sleeps for a moment and wakes for no reason, as it may.
Outcome mwait(Core& core, const Op& op) {
    if (core.s.cpl() != 0) return core.raise(Exception::ud());
    if (core.reg<uint32_t>(kRcx) > 1) return core.raise(Exception::gp());
    if (!core.signalled()) {
        constexpr timespec kMoment = {.tv_sec = 0, .tv_nsec = 100'000};
        nanosleep(&kMoment, nullptr);
    }
    return core.leave_after(op);
}

}  // namespace

void add_idle(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_HLT] = build_ending_op<hlt>;
    table[ZYDIS_MNEMONIC_PAUSE] = build_plain_op<pause>;
    table[ZYDIS_MNEMONIC_MONITOR] = build_monitor;
    table[ZYDIS_MNEMONIC_MWAIT] = build_ending_op<mwait>;
}

}  // namespace mynah::interpreter
