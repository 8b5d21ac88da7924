#pragma once

#include <array>

#include "cpu/cpuid_policy.h"
#include "engine/interpreter/code_mode.h"
#include "engine/interpreter/op.h"
#include "isa/instruction.h"

namespace mynah::interpreter {

struct Shared;

// Turning one decoded instruction into an op: what a category's build function gets. offset,
// length and, where there is one, the memory operand (base, index, scale, disp, segment,
// address_bits) are already filled in.
struct Build {
    const Instruction& instruction;
    const CodeMode mode;
    const Shared& shared;
    Op& op;
    bool ends_block = false;  // set by the function: nothing is decoded behind this op

    const ZydisDecodedOperand& operand(unsigned i) const { return instruction.operands[i]; }
    unsigned operand_bits() const { return instruction.info.operand_width; }
    bool locked() const { return instruction.has_prefix(ZYDIS_ATTRIB_HAS_LOCK); }
};

// Slot of a general register in Op's terms (8-bit registers: byte offset).
uint8_t register_slot(ZydisRegister reg);

// Sets op.handler (and what else the handler needs). False: the form is not implemented (#UD).
using BuildFunction = bool (*)(Build&);

// One function per mnemonic; each category file adds its own.
using BuilderTable = std::array<BuildFunction, ZYDIS_MNEMONIC_MAX_VALUE + 1>;

void add_data_move(BuilderTable& table);
void add_integer_arith(BuilderTable& table);
void add_integer_logic(BuilderTable& table);
void add_shift_rotate(BuilderTable& table);
void add_bit(BuilderTable& table);
void add_mul_div(BuilderTable& table);
void add_string(BuilderTable& table);
void add_stack(BuilderTable& table);
void add_control_flow(BuilderTable& table);       // near; far forms are add_far_transfer's
void add_flags(BuilderTable& table);
void add_atomic(BuilderTable& table);
void add_port_io(BuilderTable& table);
// System: far transfers, INT and IRET, SYSCALL and SYSENTER, descriptor tables, segment registers,
// control, debug and model-specific registers, CPUID, time stamps, TLB and cache control, HLT.
void add_far_transfer(BuilderTable& table);
void add_system(BuilderTable& table);
// Vector and x87: re-encoded and run by the host. Also XSAVE and its kin, and EMMS.
void add_host_vector(BuilderTable& table);
void add_fpu_state(BuilderTable& table);

// Whether the guest's CPUID offers what the instruction belongs to; otherwise it is #UD.
bool offered(const Instruction& instruction, const CpuidPolicy& policy);

}  // namespace mynah::interpreter
