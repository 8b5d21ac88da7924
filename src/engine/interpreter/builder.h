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

    ZydisMnemonic mnemonic() const { return instruction.mnemonic(); }
    const ZydisDecodedOperand& operand(unsigned i) const { return instruction.operands[i]; }
    bool is_reg(unsigned i) const { return operand(i).type == ZYDIS_OPERAND_TYPE_REGISTER; }
    bool is_mem(unsigned i) const { return operand(i).type == ZYDIS_OPERAND_TYPE_MEMORY; }
    bool is_imm(unsigned i) const { return operand(i).type == ZYDIS_OPERAND_TYPE_IMMEDIATE; }
    uint8_t slot(unsigned i) const;  // register_slot of a register operand
    uint64_t imm(unsigned i) const {
        return operand(i).imm.value.u;
    }  // sign-extended if the form says so
    unsigned bits(unsigned i) const { return operand(i).size; }
    unsigned operand_bits() const { return instruction.info.operand_width; }
    bool locked() const { return instruction.has_prefix(ZYDIS_ATTRIB_HAS_LOCK); }
    // 64-bit mode with 64-bit addresses: handlers may use Core::operand_linear64.
    bool ea64() const { return mode.code_size == CodeSize::k64 && op.address_bits == 64; }
    bool done(Handler handler) {
        op.handler = handler;
        return true;
    }
    bool done_ending_block(Handler handler) {
        ends_block = true;
        return done(handler);
    }
};

// Slot of a general register in Op's terms (8-bit registers: byte offset).
uint8_t register_slot(ZydisRegister reg);

// Segment of a string instruction's or XLAT's source, which is not written as an operand: DS or its
// override.
x86::Segment hidden_memory_segment(const Build& b);

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
void add_control_flow(BuilderTable& table);  // near; far forms are add_far_transfer's
void add_bcd(BuilderTable& table);
void add_random(BuilderTable& table);
void add_flags(BuilderTable& table);
void add_atomic(BuilderTable& table);
void add_port_io(BuilderTable& table);
// System: far transfers, INT and IRET, SYSCALL and SYSENTER, descriptor tables, segment registers,
// control, debug and model-specific registers, CPUID, time stamps, TLB and cache control, HLT.
void add_far_transfer(BuilderTable& table);
void add_system(BuilderTable& table);
bool build_far_jmp(Build& b);
bool build_far_call(Build& b);
bool build_far_ret(Build& b);
bool build_push_segment(Build& b);
bool build_pop_segment(Build& b);
bool build_mov_system(Build& b);  // MOV with a segment, control or debug register
// MOVSD and CMPSD name both a string and a vector instruction: add_host_vector, called last, wraps
// the string's function that is in the table already.
// Vector and x87: re-encoded and run by the host. Also XSAVE and its kin, and EMMS.
void add_host_vector(BuilderTable& table);
void add_fpu_state(BuilderTable& table);

// Fills in op for an instruction; ops that no category knows get the handler `undefined`. True:
// the op ends its block.
bool build_op(const Instruction& instruction, CodeMode mode, const Shared& shared, Op& op,
              Handler undefined);

// Whether the guest's CPUID offers what the instruction belongs to; otherwise it is #UD.
bool offered(const Instruction& instruction, const CpuidPolicy& policy);

}  // namespace mynah::interpreter
