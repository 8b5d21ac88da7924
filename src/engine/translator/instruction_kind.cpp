#include "engine/translator/instruction_kind.h"

#include <array>
#include <bitset>

namespace mynah::translator {
namespace {

using MnemonicSet = std::bitset<ZYDIS_MNEMONIC_MAX_VALUE + 1>;

MnemonicSet make_generic() {
    MnemonicSet set;
    for (const ZydisMnemonic m :
         {ZYDIS_MNEMONIC_MOV,    ZYDIS_MNEMONIC_ADD,    ZYDIS_MNEMONIC_ADC,    ZYDIS_MNEMONIC_SUB,
          ZYDIS_MNEMONIC_SBB,    ZYDIS_MNEMONIC_AND,    ZYDIS_MNEMONIC_OR,     ZYDIS_MNEMONIC_XOR,
          ZYDIS_MNEMONIC_CMP,    ZYDIS_MNEMONIC_TEST,   ZYDIS_MNEMONIC_INC,    ZYDIS_MNEMONIC_DEC,
          ZYDIS_MNEMONIC_NEG,    ZYDIS_MNEMONIC_NOT,    ZYDIS_MNEMONIC_SHL,    ZYDIS_MNEMONIC_SHR,
          ZYDIS_MNEMONIC_SAR,    ZYDIS_MNEMONIC_ROL,    ZYDIS_MNEMONIC_ROR,    ZYDIS_MNEMONIC_RCL,
          ZYDIS_MNEMONIC_RCR,    ZYDIS_MNEMONIC_SHLD,   ZYDIS_MNEMONIC_SHRD,   ZYDIS_MNEMONIC_MOVZX,
          ZYDIS_MNEMONIC_MOVSX,  ZYDIS_MNEMONIC_MOVSXD, ZYDIS_MNEMONIC_BSWAP,  ZYDIS_MNEMONIC_BSF,
          ZYDIS_MNEMONIC_BSR,    ZYDIS_MNEMONIC_TZCNT,  ZYDIS_MNEMONIC_LZCNT,  ZYDIS_MNEMONIC_POPCNT,
          ZYDIS_MNEMONIC_ANDN,   ZYDIS_MNEMONIC_BEXTR,  ZYDIS_MNEMONIC_BLSI,   ZYDIS_MNEMONIC_BLSMSK,
          ZYDIS_MNEMONIC_BLSR,   ZYDIS_MNEMONIC_BZHI,   ZYDIS_MNEMONIC_PDEP,   ZYDIS_MNEMONIC_PEXT,
          ZYDIS_MNEMONIC_RORX,   ZYDIS_MNEMONIC_SARX,   ZYDIS_MNEMONIC_SHLX,   ZYDIS_MNEMONIC_SHRX,
          ZYDIS_MNEMONIC_MULX,   ZYDIS_MNEMONIC_ADCX,   ZYDIS_MNEMONIC_ADOX,   ZYDIS_MNEMONIC_XADD,
          ZYDIS_MNEMONIC_MOVBE,  ZYDIS_MNEMONIC_CRC32,  ZYDIS_MNEMONIC_MOVNTI, ZYDIS_MNEMONIC_CLC,
          ZYDIS_MNEMONIC_STC,    ZYDIS_MNEMONIC_CMC,    ZYDIS_MNEMONIC_BT,     ZYDIS_MNEMONIC_BTS,
          ZYDIS_MNEMONIC_BTR,    ZYDIS_MNEMONIC_BTC,    ZYDIS_MNEMONIC_CMOVB,  ZYDIS_MNEMONIC_CMOVBE,
          ZYDIS_MNEMONIC_CMOVL,  ZYDIS_MNEMONIC_CMOVLE, ZYDIS_MNEMONIC_CMOVNB, ZYDIS_MNEMONIC_CMOVNBE,
          ZYDIS_MNEMONIC_CMOVNL, ZYDIS_MNEMONIC_CMOVNLE, ZYDIS_MNEMONIC_CMOVNO, ZYDIS_MNEMONIC_CMOVNP,
          ZYDIS_MNEMONIC_CMOVNS, ZYDIS_MNEMONIC_CMOVNZ, ZYDIS_MNEMONIC_CMOVO,  ZYDIS_MNEMONIC_CMOVP,
          ZYDIS_MNEMONIC_CMOVS,  ZYDIS_MNEMONIC_CMOVZ,  ZYDIS_MNEMONIC_SETB,   ZYDIS_MNEMONIC_SETBE,
          ZYDIS_MNEMONIC_SETL,   ZYDIS_MNEMONIC_SETLE,  ZYDIS_MNEMONIC_SETNB,  ZYDIS_MNEMONIC_SETNBE,
          ZYDIS_MNEMONIC_SETNL,  ZYDIS_MNEMONIC_SETNLE, ZYDIS_MNEMONIC_SETNO,  ZYDIS_MNEMONIC_SETNP,
          ZYDIS_MNEMONIC_SETNS,  ZYDIS_MNEMONIC_SETNZ,  ZYDIS_MNEMONIC_SETO,   ZYDIS_MNEMONIC_SETP,
          ZYDIS_MNEMONIC_SETS,   ZYDIS_MNEMONIC_SETZ,   ZYDIS_MNEMONIC_IMUL}) {
        set.set(m);
    }
    return set;
}

const MnemonicSet& generic() {
    static const MnemonicSet set = make_generic();
    return set;
}

}  // namespace

bool is_generic_integer(ZydisMnemonic mnemonic) { return generic().test(mnemonic); }

BranchKind branch_kind(ZydisMnemonic mnemonic) {
    switch (mnemonic) {
        case ZYDIS_MNEMONIC_JO:
        case ZYDIS_MNEMONIC_JNO:
        case ZYDIS_MNEMONIC_JB:
        case ZYDIS_MNEMONIC_JNB:
        case ZYDIS_MNEMONIC_JZ:
        case ZYDIS_MNEMONIC_JNZ:
        case ZYDIS_MNEMONIC_JBE:
        case ZYDIS_MNEMONIC_JNBE:
        case ZYDIS_MNEMONIC_JS:
        case ZYDIS_MNEMONIC_JNS:
        case ZYDIS_MNEMONIC_JP:
        case ZYDIS_MNEMONIC_JNP:
        case ZYDIS_MNEMONIC_JL:
        case ZYDIS_MNEMONIC_JNL:
        case ZYDIS_MNEMONIC_JLE:
        case ZYDIS_MNEMONIC_JNLE:
        case ZYDIS_MNEMONIC_LOOP:
        case ZYDIS_MNEMONIC_JRCXZ:
        case ZYDIS_MNEMONIC_JECXZ:
        case ZYDIS_MNEMONIC_JCXZ:
            return BranchKind::kConditional;
        case ZYDIS_MNEMONIC_JMP:
        case ZYDIS_MNEMONIC_CALL:
        case ZYDIS_MNEMONIC_RET:
        case ZYDIS_MNEMONIC_LOOPE:
        case ZYDIS_MNEMONIC_LOOPNE:
        case ZYDIS_MNEMONIC_SYSCALL:
        case ZYDIS_MNEMONIC_SYSRET:
        case ZYDIS_MNEMONIC_IRET:
        case ZYDIS_MNEMONIC_IRETD:
        case ZYDIS_MNEMONIC_IRETQ:
        case ZYDIS_MNEMONIC_UD2:
        case ZYDIS_MNEMONIC_INT3:
        case ZYDIS_MNEMONIC_INT:
        case ZYDIS_MNEMONIC_HLT:
            return BranchKind::kFinal;
        default:
            return BranchKind::kNone;
    }
}

bool touches_memory(const Instruction& instruction) {
    if (instruction.mnemonic() == ZYDIS_MNEMONIC_LEA ||
        instruction.mnemonic() == ZYDIS_MNEMONIC_NOP) {
        return false;
    }
    for (unsigned i = 0; i < instruction.info.operand_count; ++i) {
        if (instruction.operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY) return true;
    }
    return false;
}

bool is_high_byte(ZydisRegister reg) {
    return reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;
}

bool is_general_register(const ZydisDecodedOperand& operand) {
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) return false;
    const ZydisRegisterClass kind = ZydisRegisterGetClass(operand.reg.value);
    return kind == ZYDIS_REGCLASS_GPR8 || kind == ZYDIS_REGCLASS_GPR16 ||
           kind == ZYDIS_REGCLASS_GPR32 || kind == ZYDIS_REGCLASS_GPR64;
}

uint16_t registers_written(const Instruction& instruction) {
    unsigned mask = 0;
    for (unsigned i = 0; i < instruction.info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = instruction.operands[i];
        if ((operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) == 0 ||
            !is_general_register(operand)) {
            continue;
        }
        mask |= 1u << (is_high_byte(operand.reg.value)
                           ? static_cast<unsigned>(operand.reg.value - ZYDIS_REGISTER_AH)
                           : general_register(operand.reg.value));
    }
    return static_cast<uint16_t>(mask);
}

bool is_plain(const Instruction& instruction) {
    const ZydisMnemonic m = instruction.mnemonic();
    if (m == ZYDIS_MNEMONIC_NOP) return true;
    if (touches_memory(instruction)) return false;
    if (m == ZYDIS_MNEMONIC_LEA) return instruction.info.operand_width != 16;
    if (instruction.info.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) return false;
    for (unsigned i = 0; i < instruction.info.operand_count; ++i) {
        const auto& operand = instruction.operands[i];
        if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
        if (is_high_byte(operand.reg.value)) return false;
        const ZydisRegisterClass kind = ZydisRegisterGetClass(operand.reg.value);
        if (kind == ZYDIS_REGCLASS_SEGMENT || kind == ZYDIS_REGCLASS_CONTROL ||
            kind == ZYDIS_REGCLASS_DEBUG) {
            return false;
        }
    }
    return is_generic_integer(m) || branch_kind(m) == BranchKind::kConditional;
}

}  // namespace mynah::translator
