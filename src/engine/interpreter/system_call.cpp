// SYSCALL SYSRET SYSENTER SYSEXIT SWAPGS [SDM 2B].

#include <utility>

#include "engine/interpreter/system.h"

namespace mynah::interpreter {

using x86::Segment;
namespace attr = x86::segment_attribute;
namespace rflags = x86::rflags;

namespace {

// Flat segments as these instructions load them, without a look at the tables.
SegmentRegister flat_code(uint16_t selector, unsigned level, bool long_mode) {
    return {.base = 0,
            .limit = 0xffffffff,
            .attributes = attr::kPresent | attr::kCodeOrData | attr::kCode |
                          attr::kReadableOrWritable | attr::kAccessed | attr::kGranularity |
                          level << attr::kDplShift | (long_mode ? attr::kLong : attr::kDefaultBig),
            .selector = static_cast<uint16_t>((selector & ~x86::selector::kRpl) | level)};
}
SegmentRegister flat_stack(uint16_t selector, unsigned level) {
    return {.base = 0,
            .limit = 0xffffffff,
            .attributes = attr::kPresent | attr::kCodeOrData | attr::kReadableOrWritable |
                          attr::kAccessed | attr::kGranularity | attr::kDefaultBig |
                          level << attr::kDplShift,
            .selector = static_cast<uint16_t>((selector & ~x86::selector::kRpl) | level)};
}

Outcome syscall(Core& core, const Op& op) {
    CpuState& s = core.s;
    if (!s.code64() || (s.efer & x86::efer::kSce) == 0) return core.raise(Exception::ud());
    s.gpr[kRcx] = core.rip_after(op);
    s.gpr[kR11] = s.flags.value() & ~rflags::kRf;
    s.flags.set(s.flags.value() & ~(s.fmask | rflags::kRf));
    const auto selector = static_cast<uint16_t>(s.star >> 32);
    s.segment(Segment::kCs) = flat_code(selector & 0xfffc, 0, true);
    s.segment(Segment::kSs) = flat_stack(static_cast<uint16_t>((selector & 0xfffc) + 8), 0);
    s.rip = s.lstar;
    // Masked off, TF no longer traps behind this instruction.
    core.skip_single_step = !s.flags.has(rflags::kTf);
    return Outcome::kLeave;
}

// op.aux: the operand size is 64 bits.
Outcome sysret(Core& core, const Op& op) {
    CpuState& s = core.s;
    const bool to64 = op.aux != 0;
    if (!s.code64() || (s.efer & x86::efer::kSce) == 0) return core.raise(Exception::ud());
    if (s.cpl() != 0) return core.raise(Exception::gp());
    const uint64_t target = to64 ? s.gpr[kRcx] : s.gpr[kRcx] & 0xffffffff;
    if (!Core::canonical(target)) return core.raise(Exception::gp());
    s.flags.set(s.gpr[kR11] & 0x3c7fd7);
    const auto selector = static_cast<uint16_t>(s.star >> 48);
    s.segment(Segment::kCs) = flat_code(static_cast<uint16_t>(selector + (to64 ? 16 : 0)), 3, to64);
    s.segment(Segment::kSs) = flat_stack(static_cast<uint16_t>(selector + 8), 3);
    s.rip = target;
    return Outcome::kLeave;
}

Outcome sysenter(Core& core, const Op&) {
    CpuState& s = core.s;
    const auto selector = static_cast<uint16_t>(s.sysenter_cs & 0xfffc);
    if (!s.protected_mode() || selector == 0) return core.raise(Exception::gp());
    const bool long_mode = s.long_mode();
    s.flags.system &= ~(rflags::kVm | rflags::kIf | rflags::kRf);
    s.segment(Segment::kCs) = flat_code(selector, 0, long_mode);
    s.segment(Segment::kSs) = flat_stack(static_cast<uint16_t>(selector + 8), 0);
    s.gpr[kRsp] = long_mode ? s.sysenter_esp : s.sysenter_esp & 0xffffffff;
    s.rip = long_mode ? s.sysenter_eip : s.sysenter_eip & 0xffffffff;
    return Outcome::kLeave;
}

// op.aux: the operand size is 64 bits.
Outcome sysexit(Core& core, const Op& op) {
    CpuState& s = core.s;
    const bool to64 = op.aux != 0;
    const auto selector = static_cast<uint16_t>(s.sysenter_cs & 0xfffc);
    if (!s.protected_mode() || selector == 0 || s.cpl() != 0) return core.raise(Exception::gp());
    const uint64_t mask = to64 ? ~uint64_t{0} : 0xffffffff;
    const uint64_t rsp = s.gpr[kRcx] & mask, rip = s.gpr[kRdx] & mask;
    if (!Core::canonical(rsp) || !Core::canonical(rip)) return core.raise(Exception::gp());
    const unsigned code_offset = to64 ? 32 : 16;
    s.segment(Segment::kCs) = flat_code(static_cast<uint16_t>(selector + code_offset), 3, to64);
    s.segment(Segment::kSs) = flat_stack(static_cast<uint16_t>(selector + code_offset + 8), 3);
    s.gpr[kRsp] = rsp;
    s.rip = rip;
    return Outcome::kLeave;
}

template <Handler kHandler>
bool build_exit(Build& b) {
    b.op.aux = b.mode.code_size == CodeSize::k64 &&
               (b.instruction.info.attributes & ZYDIS_ATTRIB_HAS_REX) != 0 &&
               b.instruction.info.raw.rex.W != 0;
    return b.done_ending_block(kHandler);
}

Outcome swapgs(Core& core, const Op& op) {
    CpuState& s = core.s;
    if (!s.code64()) return core.raise(Exception::ud());
    if (!privileged(core)) return Outcome::kFault;
    std::swap(s.segment(Segment::kGs).base, s.kernel_gs_base);
    return core.leave_after(op);
}

}  // namespace

void add_system_call(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_SYSCALL] = build_ending_op<syscall>;
    table[ZYDIS_MNEMONIC_SYSRET] = build_exit<sysret>;
    table[ZYDIS_MNEMONIC_SYSENTER] = build_ending_op<sysenter>;
    table[ZYDIS_MNEMONIC_SYSEXIT] = build_exit<sysexit>;
    table[ZYDIS_MNEMONIC_SWAPGS] = build_ending_op<swapgs>;
}

}  // namespace mynah::interpreter
