// CPUID RDTSC RDTSCP RDPID RDPMC [SDM 2A, 2B].

#include "engine/interpreter/system.h"
#include "spec/x86/msr.h"

namespace mynah::interpreter {
namespace {

Outcome cpuid(Core& core, const Op&) {
    const CpuState& s = core.s;
    const CpuidPolicy& policy = core.shared.cpuid;
    const auto leaf = core.reg<uint32_t>(kRax);
    const uint64_t apic_base = core.ports.read_msr(x86::msr::kApicBase).value_or(0);
    const CpuidLeaf value =
        policy.query(leaf, core.reg<uint32_t>(kRcx),
                     {.apic_id = policy.apic_id(core.index.value),
                      .osxsave = (s.cr4 & x86::cr4::kOsxsave) != 0,
                      .apic_enabled = (apic_base & x86::msr::kApicBaseEnable) != 0,
                      .xcr0 = s.xcr0});
    core.set_reg<uint32_t>(kRax, value.eax);
    core.set_reg<uint32_t>(kRbx, value.ebx);
    core.set_reg<uint32_t>(kRcx, value.ecx);
    core.set_reg<uint32_t>(kRdx, value.edx);
    return Outcome::kNext;
}

bool tsc_allowed(Core& core) {
    const bool barred = (core.s.cr4 & x86::cr4::kTsd) != 0 && core.s.cpl() != 0;
    return !barred || core.raised(Exception::gp());
}
void put_tsc(Core& core) {
    const uint64_t tsc = core.read_tsc();
    core.set_reg<uint32_t>(kRax, static_cast<uint32_t>(tsc));
    core.set_reg<uint32_t>(kRdx, static_cast<uint32_t>(tsc >> 32));
}
Outcome rdtsc(Core& core, const Op&) {
    if (!tsc_allowed(core)) return Outcome::kFault;
    put_tsc(core);
    return Outcome::kNext;
}
Outcome rdtscp(Core& core, const Op&) {
    if (!tsc_allowed(core)) return Outcome::kFault;
    put_tsc(core);
    core.set_reg<uint32_t>(kRcx, static_cast<uint32_t>(core.s.tsc_aux));
    return Outcome::kNext;
}

Outcome rdpid(Core& core, const Op& op) {
    core.set_reg<uint32_t>(op.dst, static_cast<uint32_t>(core.s.tsc_aux));
    return Outcome::kNext;
}
bool build_rdpid(Build& b) {
    b.op.dst = b.slot(0);
    return b.done(rdpid);
}

// There are no performance counters (leaf 0Ah is empty), so that every ECX is out of range.
Outcome rdpmc(Core& core, const Op&) { return core.raise(Exception::gp()); }

}  // namespace

void add_identification(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_CPUID] = build_plain_op<cpuid>;
    table[ZYDIS_MNEMONIC_RDTSC] = build_plain_op<rdtsc>;
    table[ZYDIS_MNEMONIC_RDTSCP] = build_plain_op<rdtscp>;
    table[ZYDIS_MNEMONIC_RDPID] = build_rdpid;
    table[ZYDIS_MNEMONIC_RDPMC] = build_plain_op<rdpmc>;
}

}  // namespace mynah::interpreter
