#include "engine/interpreter/builder.h"

#include "base/check.h"
#include "cpu/cpu_state.h"
#include "engine/interpreter/core.h"

namespace mynah::interpreter {
namespace {

BuilderTable make_table() {
    BuilderTable table{};
    add_data_move(table);
    add_integer_arith(table);
    add_integer_logic(table);
    add_shift_rotate(table);
    add_bit(table);
    add_mul_div(table);
    add_bcd(table);
    add_string(table);
    add_stack(table);
    add_control_flow(table);
    add_flags(table);
    add_atomic(table);
    add_random(table);
    add_port_io(table);
    add_far_transfer(table);
    add_system(table);
    add_host_vector(table);
    add_fpu_state(table);
    return table;
}

x86::Segment segment_of(ZydisRegister reg) {
    switch (reg) {
        case ZYDIS_REGISTER_ES:
            return x86::Segment::kEs;
        case ZYDIS_REGISTER_CS:
            return x86::Segment::kCs;
        case ZYDIS_REGISTER_SS:
            return x86::Segment::kSs;
        case ZYDIS_REGISTER_FS:
            return x86::Segment::kFs;
        case ZYDIS_REGISTER_GS:
            return x86::Segment::kGs;
        default:
            return x86::Segment::kDs;
    }
}

uint8_t address_slot(ZydisRegister reg) {
    if (reg == ZYDIS_REGISTER_NONE) return CpuState::kZeroSlot;
    const int id = ZydisRegisterGetId(reg);
    return id < 0 || id > 15 ? CpuState::kZeroSlot : static_cast<uint8_t>(id);
}

void set_memory(const Instruction& instruction, const ZydisDecodedOperand& operand, Op& op) {
    const auto& mem = operand.mem;
    op.address_bits = static_cast<uint8_t>(instruction.info.address_width);
    op.segment = segment_of(mem.segment);
    int64_t disp = mem.disp.has_displacement ? mem.disp.value : 0;
    if (mem.base == ZYDIS_REGISTER_RIP || mem.base == ZYDIS_REGISTER_EIP) {
        op.base = CpuState::kRipBaseSlot;
        disp += op.offset + op.length;
    } else {
        op.base = address_slot(mem.base);
    }
    // Vector indexes (gathers) are the vector unit's own business.
    const ZydisRegisterClass index_class = ZydisRegisterGetClass(mem.index);
    const bool general = index_class == ZYDIS_REGCLASS_GPR64 ||
                         index_class == ZYDIS_REGCLASS_GPR32 || index_class == ZYDIS_REGCLASS_GPR16;
    op.index = general ? address_slot(mem.index) : CpuState::kZeroSlot;
    unsigned shift = 0;
    while (mem.scale >> (shift + 1) != 0) ++shift;
    op.scale_shift = static_cast<uint8_t>(shift);
    op.disp = static_cast<int32_t>(disp);
}

}  // namespace

uint8_t register_slot(ZydisRegister reg) {
    // High byte registers are byte 1 of the first four; all other 8-bit ones byte 0 of theirs.
    if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH) {
        return static_cast<uint8_t>((reg - ZYDIS_REGISTER_AH) * 8 + 1);
    }
    const int id = ZydisRegisterGetId(reg);
    if (ZydisRegisterGetClass(reg) != ZYDIS_REGCLASS_GPR8) return static_cast<uint8_t>(id);
    if (reg >= ZYDIS_REGISTER_SPL) return static_cast<uint8_t>((reg - ZYDIS_REGISTER_SPL + 4) * 8);
    return static_cast<uint8_t>((reg - ZYDIS_REGISTER_AL) * 8);
}

uint8_t Build::slot(unsigned i) const { return register_slot(operand(i).reg.value); }

bool build_op(const Instruction& instruction, CodeMode mode, const Shared& shared, Op& op,
              Handler undefined) {
    static const BuilderTable table = make_table();
    for (unsigned i = 0; i < instruction.visible_operands(); ++i) {
        const ZydisDecodedOperand& operand = instruction.operands[i];
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) set_memory(instruction, operand, op);
    }
    const BuildFunction build = table[instruction.mnemonic()];
    Build context{.instruction = instruction, .mode = mode, .shared = shared, .op = op};
    if (build == nullptr || !offered(instruction, shared.cpuid) || !build(context)) {
        op.handler = undefined;
        return true;
    }
    CHECK(op.handler != nullptr);
    return context.ends_block;
}

}  // namespace mynah::interpreter
