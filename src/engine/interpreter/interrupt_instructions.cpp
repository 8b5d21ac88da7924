// INT n, INT3, INTO, INT1, and the instructions that exist to be undefined.

#include "engine/interpreter/core.h"
#include "engine/interpreter/far_transfer.h"
#include "engine/interpreter/interrupt_gate.h"

namespace mynah::interpreter {
namespace {

// The return address is behind the instruction; a fault of the delivery is the instruction's.
Outcome software_interrupt(Core& core, const Op& op, uint8_t vector, EventSource source) {
    const uint64_t before = core.s.rip;
    core.s.rip = core.rip_after(op);
    const Delivery result = deliver(
        core, {.vector = vector, .source = source, .has_error_code = false, .error_code = 0});
    // These clear TF and are not stepped: the handler's first instruction must not trap
    // [SDM 3B 17.3.1.4].
    core.skip_single_step = true;
    switch (result) {
        case Delivery::kDone:
            return after_task_switch(core, op, TaskSwitchResult::kDone);
        case Delivery::kFault:
            core.s.rip = before;
            return Outcome::kFault;
        case Delivery::kFaultInNewTask:
            break;
    }
    return after_task_switch(core, op, TaskSwitchResult::kFaultInNewTask);
}

Outcome int_n(Core& core, const Op& op) {
    return software_interrupt(core, op, static_cast<uint8_t>(op.imm), EventSource::kIntN);
}
Outcome int3(Core& core, const Op& op) {
    return software_interrupt(core, op, static_cast<uint8_t>(x86::Vector::kBp), EventSource::kInt3);
}
Outcome int1(Core& core, const Op& op) {
    // Traps that a MOV SS held back do not follow into the handler of the very same vector.
    core.pending_debug = 0;
    return software_interrupt(core, op, static_cast<uint8_t>(x86::Vector::kDb), EventSource::kInt1);
}
Outcome into(Core& core, const Op& op) {
    if ((core.s.flags.arithmetic & Flags::kOf) == 0) return core.leave_after(op);
    return software_interrupt(core, op, static_cast<uint8_t>(x86::Vector::kOf), EventSource::kInt3);
}

Outcome undefined_by_design(Core& core, const Op&) { return core.raise(Exception::ud()); }

template <Handler kHandler>
bool build_ending(Build& b) {
    if (b.instruction.visible_operands() > 0 && b.is_imm(0)) b.op.imm = b.imm(0) & 0xff;
    return b.done_ending_block(kHandler);
}

}  // namespace

void add_interrupt_instructions(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_INT] = build_ending<int_n>;
    table[ZYDIS_MNEMONIC_INT3] = build_ending<int3>;
    table[ZYDIS_MNEMONIC_INT1] = build_ending<int1>;
    table[ZYDIS_MNEMONIC_INTO] = build_ending<into>;
    table[ZYDIS_MNEMONIC_UD0] = build_ending<undefined_by_design>;
    table[ZYDIS_MNEMONIC_UD1] = build_ending<undefined_by_design>;
    table[ZYDIS_MNEMONIC_UD2] = build_ending<undefined_by_design>;
}

}  // namespace mynah::interpreter
