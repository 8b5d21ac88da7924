#pragma once

// What far JMP, CALL, RET, IRET and gates share.

#include <cstdint>

#include "engine/interpreter/builder.h"
#include "engine/interpreter/descriptor.h"
#include "engine/interpreter/op.h"
#include "engine/interpreter/task_switch.h"

namespace mynah::interpreter {

class Core;

enum class FarKind : uint8_t { kJump, kCall };

struct FarPointer {
    uint16_t selector;
    uint64_t offset;
};

// Through a call gate, already read and checked to be one [SDM 3A 5.8.4].
Outcome through_call_gate(Core& core, const Op& op, FarKind kind, uint16_t selector,
                          Descriptor gate);
// To a task; `op` is the instruction that asks for it.
Outcome to_task(Core& core, const Op& op, TaskSwitchCause cause, uint16_t tss_selector);
// What becomes of an instruction after a task switch or an event it raised itself.
Outcome after_task_switch(Core& core, const Op& op, TaskSwitchResult result);

// Whether an instruction pointer can be one in a code segment: limit, or canonical for 64-bit code.
bool valid_target(const Core& core, const Descriptor& code, uint64_t offset);
// 64-bit code that claims to be 32-bit code too is no code segment in long mode.
bool contradictory_code(const Core& core, const Descriptor& code);
// Sets CS and the instruction pointer.
void enter_code(Core& core, uint16_t selector, unsigned level, const Descriptor& code,
                uint64_t offset);

// Where RETF or IRET returns to, checked [SDM 2B RET].
struct ReturnTarget {
    uint16_t selector;
    Descriptor code;
    uint64_t offset;
    unsigned level() const { return selector & x86::selector::kRpl; }
};
bool read_return_code(Core& core, uint16_t selector, ReturnTarget& out);
// The stack segment that is popped with a return to another level.
bool read_return_stack(Core& core, uint16_t selector, const ReturnTarget& target,
                       SegmentRegister& out);
// Commits a return: CS, SS, stack pointer, data segments.
void finish_return(Core& core, const ReturnTarget& target);
void finish_outer_return(Core& core, const ReturnTarget& target,
                         const SegmentRegister& stack_segment, uint64_t stack_pointer);

void add_interrupt_return(BuilderTable& table);
void add_interrupt_instructions(BuilderTable& table);

}  // namespace mynah::interpreter
