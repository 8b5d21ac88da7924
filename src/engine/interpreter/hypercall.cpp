// VMCALL [SDM 3C 30.3] and VMMCALL [AMD APM3]: whichever of them a guest uses, the machine's
// hypervisor hears it. At all privilege levels: who may call is for the hypervisor to say.

#include "engine/interpreter/system.h"

namespace mynah::interpreter {
namespace {

Outcome hypercall(Core& core, const Op& op) {
    if (!core.ports.hypercall(core.s)) return core.raise(Exception::ud());
    return core.leave_after(op);
}

}  // namespace

void add_hypercall(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_VMCALL] = build_ending_op<hypercall>;
    table[ZYDIS_MNEMONIC_VMMCALL] = build_ending_op<hypercall>;
}

}  // namespace mynah::interpreter
