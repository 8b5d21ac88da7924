// RDMSR WRMSR, RDFSBASE RDGSBASE WRFSBASE WRGSBASE [SDM 2B]. The registers are cpu/msr_table.cpp's.

#include "cpu/msr_table.h"
#include "engine/interpreter/operand.h"
#include "engine/interpreter/system.h"
#include "spec/x86/msr.h"

namespace mynah::interpreter {

using x86::Segment;

namespace {

MsrContext context_of(Core& core) {
    return {
        .state = core.s, .policy = core.shared.cpuid, .ports = core.ports, .tsc = core.read_tsc()};
}

Outcome rdmsr(Core& core, const Op&) {
    if (!privileged(core)) return Outcome::kFault;
    const auto value = read_msr(context_of(core), core.reg<uint32_t>(kRcx));
    if (!value) return core.raise(Exception::gp());
    core.set_reg<uint32_t>(kRax, static_cast<uint32_t>(*value));
    core.set_reg<uint32_t>(kRdx, static_cast<uint32_t>(*value >> 32));
    return Outcome::kNext;
}

Outcome wrmsr(Core& core, const Op& op) {
    if (!privileged(core)) return Outcome::kFault;
    const uint32_t index = core.reg<uint32_t>(kRcx);
    const uint64_t value = core.reg<uint32_t>(kRax) | uint64_t{core.reg<uint32_t>(kRdx)} << 32;
    const uint64_t efer = core.s.efer;
    if (!write_msr(context_of(core), index, value)) return core.raise(Exception::gp());
    // NXE decides what translations allow.
    if (core.s.efer != efer) core.tlb().flush_all();
    return core.leave_after(op);
}

bool bases_enabled(Core& core) {
    const bool enabled = core.s.code64() && (core.s.cr4 & x86::cr4::kFsgsbase) != 0;
    return enabled || core.raised(Exception::ud());
}
template <Segment kSegment, typename T>
Outcome read_base(Core& core, const Op& op) {
    if (!bases_enabled(core)) return Outcome::kFault;
    core.set_reg<T>(op.dst, static_cast<T>(core.s.segment(kSegment).base));
    return Outcome::kNext;
}
template <Segment kSegment, typename T>
Outcome write_base(Core& core, const Op& op) {
    if (!bases_enabled(core)) return Outcome::kFault;
    const uint64_t value = core.reg<T>(op.src);
    if (!Core::canonical(value)) return core.raise(Exception::gp());
    core.s.segment(kSegment).base = value;
    return core.leave_after(op);
}
template <Segment kSegment>
bool build_read_base(Build& b) {
    b.op.dst = b.slot(0);
    return b.done(b.bits(0) == 64 ? read_base<kSegment, uint64_t> : read_base<kSegment, uint32_t>);
}
template <Segment kSegment>
bool build_write_base(Build& b) {
    b.op.src = b.slot(0);
    return b.done_ending_block(b.bits(0) == 64 ? write_base<kSegment, uint64_t>
                                               : write_base<kSegment, uint32_t>);
}

}  // namespace

void add_msr(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_RDMSR] = build_plain_op<rdmsr>;
    table[ZYDIS_MNEMONIC_WRMSR] = build_ending_op<wrmsr>;
    table[ZYDIS_MNEMONIC_RDFSBASE] = build_read_base<Segment::kFs>;
    table[ZYDIS_MNEMONIC_RDGSBASE] = build_read_base<Segment::kGs>;
    table[ZYDIS_MNEMONIC_WRFSBASE] = build_write_base<Segment::kFs>;
    table[ZYDIS_MNEMONIC_WRGSBASE] = build_write_base<Segment::kGs>;
}

}  // namespace mynah::interpreter
