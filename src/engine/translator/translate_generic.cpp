// Instructions that are written again as they are, with the registers' homes and the host address
// of their memory operand in place of the guest's.

#include "engine/translator/instruction_kind.h"
#include "engine/translator/processor.h"
#include "engine/translator/translation.h"

namespace mynah::translator {
namespace {

bool is_gpr(const ZydisDecodedOperand& operand) {
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) return false;
    switch (ZydisRegisterGetClass(operand.reg.value)) {
        case ZYDIS_REGCLASS_GPR8:
        case ZYDIS_REGCLASS_GPR16:
        case ZYDIS_REGCLASS_GPR32:
        case ZYDIS_REGCLASS_GPR64:
            return true;
        default:
            return false;
    }
}

// Segment, control, debug registers and the like, which the host's own must not stand in for.
bool is_system_register(const ZydisDecodedOperand& operand) {
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER ||
        operand.visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT) {
        return false;
    }
    switch (ZydisRegisterGetClass(operand.reg.value)) {
        case ZYDIS_REGCLASS_MMX:
        case ZYDIS_REGCLASS_XMM:
        case ZYDIS_REGCLASS_YMM: return false;
        default: return !is_gpr(operand);
    }
}

// Number of a general register, not AH and its kin.
unsigned gpr_number(ZydisRegister reg) {
    if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
        return static_cast<unsigned>(reg - ZYDIS_REGISTER_SPL) + 4;
    if (reg <= ZYDIS_REGISTER_BL) return static_cast<unsigned>(reg - ZYDIS_REGISTER_AL);
    return static_cast<unsigned>(ZydisRegisterGetId(reg)) & 15;
}

constexpr bool reads(const ZydisDecodedOperand& operand) {
    return (operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
}
constexpr bool writes(const ZydisDecodedOperand& operand) {
    return (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
}

}  // namespace

unsigned general_register(ZydisRegister reg) { return gpr_number(reg); }

// False, with nothing emitted: it does not fit.
bool Translation::generic(const GuestInstruction& in, unsigned alignment) {
    struct Use {
        uint8_t* field;
        unsigned guest;
        bool read, write;
    };
    Use uses[4];
    unsigned use_count = 0, in_memory = 0;
    const ZydisDecodedOperand* mem = nullptr;
    bool bit_string = false;
    Fields fields = original_fields(in.decoded, in.bytes);
    for (unsigned i = 0; i < in.decoded.info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = in.operand(i);
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
            if (operand.visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT || mem != nullptr ||
                operand.mem.type != ZYDIS_MEMOP_TYPE_MEM ||
                operand.encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM) {
                return false;
            }
            mem = &operand;
        }
        if (is_system_register(operand)) return false;
        if (!is_gpr(operand)) continue;
        if (is_high_byte(operand.reg.value)) return false;
        const unsigned guest = gpr_number(operand.reg.value);
        uint8_t* field = nullptr;
        switch (operand.encoding) {
            case ZYDIS_OPERAND_ENCODING_MODRM_REG: field = &fields.reg; break;
            case ZYDIS_OPERAND_ENCODING_MODRM_RM: field = &fields.rm; break;
            case ZYDIS_OPERAND_ENCODING_NDSNDD: field = &fields.vvvv; break;
            case ZYDIS_OPERAND_ENCODING_OPCODE: field = &fields.opcode; break;
            default:
                // Named by the opcode alone: fits if the host's register is the same.
                if (kHomeOf[guest] != guest) return false;
                continue;
        }
        if (use_count == std::size(uses)) return false;
        bool read = reads(operand);
        // Writes of 8 and 16 bits keep the rest; a CMOV may keep all.
        if (writes(operand) && operand.size < 32) read = true;
        if ((operand.actions & ZYDIS_OPERAND_ACTION_CONDWRITE) != 0) read = true;
        // They leave the register alone if there is no bit.
        if (in.mnemonic() == ZYDIS_MNEMONIC_BSF || in.mnemonic() == ZYDIS_MNEMONIC_BSR) read = true;
        uses[use_count++] = {field, guest, read, writes(operand)};
        if (kHomeOf[guest] == kNoHostReg) ++in_memory;
        if (operand.size == 8) fields.force_rex = true;
    }
    if (mem != nullptr) {
        const ZydisMnemonic m = in.mnemonic();
        bit_string = (m == ZYDIS_MNEMONIC_BT || m == ZYDIS_MNEMONIC_BTS ||
                      m == ZYDIS_MNEMONIC_BTR || m == ZYDIS_MNEMONIC_BTC) &&
                     in.operand(1).type == ZYDIS_OPERAND_TYPE_REGISTER;
    }
    if (bit_string || in_memory > (mem != nullptr ? 1u : 2u)) return false;

    HostReg spare[2] = {kScratch0, kScratch1};
    if (mem != nullptr && grouped(in, fields.memory)) {
        fields.has_memory = true;
    } else if (mem != nullptr) {
        const bool needs_flags =
            in.flags_read != 0 || (in.flags_written != 0 && !in.always_writes);
        // RAX is wanted for the flags.
        const HostReg address = needs_flags ? kScratch1 : kScratch0;
        access(in, *mem, mem->size / 8u, writes(*mem) ? AccessKind::kWrite : AccessKind::kRead,
               address, alignment);
        fields.has_memory = true;
        fields.memory = {.base = address};
        spare[0] = address == kScratch0 ? kScratch1 : kScratch0;
    }
    want_flags(in);
    keep_recipe(in, spare[0], true);
    unsigned spares = 0;
    for (unsigned i = 0; i < use_count; ++i) {
        Use& use = uses[i];
        HostReg home = kHomeOf[use.guest];
        if (home == kNoHostReg) {
            // The same register twice shares a place.
            for (unsigned j = 0; j < i; ++j) {
                if (uses[j].guest == use.guest) home = static_cast<HostReg>(*uses[j].field);
            }
            if (home == kNoHostReg) {
                home = spare[spares++];
                bool read = use.read;
                for (unsigned j = i + 1; j < use_count; ++j)
                    read = read || (uses[j].guest == use.guest && uses[j].read);
                if (read) e_.load(home, guest(use.guest));
            }
        }
        *use.field = home;
    }
    reencode(e_, in.decoded, in.bytes, fields);
    for (unsigned i = 0; i < use_count; ++i) {
        if (uses[i].write && kHomeOf[uses[i].guest] == kNoHostReg) {
            e_.store(guest(uses[i].guest), static_cast<HostReg>(*uses[i].field));
        }
    }
    if (in.flags_written != 0) flags_produced();
    if (in.always_writes && !legacy_) recipe_ = recipe_of(in);
    return true;
}

// AL, AX, EAX or RAX with an immediate, by the short encoding that names no register.
bool Translation::accumulator_immediate(const GuestInstruction& in) {
    const unsigned opcode = in.decoded.info.opcode;
    const bool is_test = opcode == 0xa8 || opcode == 0xa9;
    if (in.decoded.info.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT ||
        in.decoded.info.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
        (!is_test && (opcode >= 0x40 || (opcode & 7) < 4 || (opcode & 7) > 5))) {
        return false;
    }
    want_flags(in);
    const auto& imm = in.decoded.info.raw.imm[0];
    if (in.width() == 16 && (opcode & 1) != 0) e_.byte(0x66);
    e_.rex(in.decoded.info.raw.rex.W != 0, 0, 0, kHomeOf[kRax]);
    if (is_test) {
        e_.byte(0xf6 | (opcode & 1));
        e_.modrm_reg(0, kHomeOf[kRax]);
    } else {
        e_.byte(0x80 | (opcode & 1));
        e_.modrm_reg(opcode >> 3, kHomeOf[kRax]);
    }
    e_.raw(in.bytes + imm.offset, imm.size / 8);
    flags_produced();
    if (in.always_writes && !legacy_) recipe_ = recipe_of(in);
    return true;
}

// An operand in AH, CH, DH or BH: worked on in RAX, which has such a half too.
bool Translation::high_byte(const GuestInstruction& in) {
    unsigned highs = 0, position = 0;
    for (unsigned i = 0; i < in.decoded.visible_operands(); ++i) {
        const ZydisDecodedOperand& operand = in.operand(i);
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) return false;
        if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
        if (!is_gpr(operand)) return false;
        if (is_high_byte(operand.reg.value)) {
            ++highs;
            position = i;
        }
    }
    if (highs != 1) return false;
    const ZydisDecodedOperand& high = in.operand(position);
    const unsigned guest_high =
        static_cast<unsigned>(high.reg.value - ZYDIS_REGISTER_AH);  // AH CH DH BH: 0 to 3
    Fields fields = original_fields(in.decoded, in.bytes);
    uint8_t* const high_field =
        high.encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG  ? &fields.reg
        : high.encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ? &fields.rm
        : high.encoding == ZYDIS_OPERAND_ENCODING_OPCODE   ? &fields.opcode
                                                           : nullptr;
    if (high_field == nullptr) return false;
    // The other register must do without REX; guest RAX then takes the lower half's place.
    bool extend_to_rax = false, copy_back = writes(high);
    for (unsigned i = 0; i < in.decoded.visible_operands(); ++i) {
        const ZydisDecodedOperand& operand = in.operand(i);
        if (i == position || !is_gpr(operand)) continue;
        const unsigned number = gpr_number(operand.reg.value);
        const bool extends =
            in.mnemonic() == ZYDIS_MNEMONIC_MOVZX || in.mnemonic() == ZYDIS_MNEMONIC_MOVSX;
        if (number == kRax && extends && operand.size >= 32) {
            extend_to_rax = true;
            fields.reg = kHostRax;
        } else if (number == guest_high && operand.size == 8) {
            copy_back = copy_back || writes(operand);
            if (operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG) fields.reg = kHostRax;
            if (operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM) fields.rm = kHostRax;
        } else if (kHomeOf[number] == kNoHostReg || kHomeOf[number] >= 8 ||
                   kHomeOf[number] != number || (operand.size == 8 && number >= 4)) {
            return false;
        }
    }
    if (in.decoded.info.raw.rex.W != 0) return false;
    want_flags(in);
    e_.mov(kHostRax, kHomeOf[guest_high]);
    *high_field = 4;
    reencode(e_, in.decoded, in.bytes, fields);
    if (extend_to_rax) {
        e_.mov(kHomeOf[kRax], kHostRax, false);
    } else if (copy_back) {
        e_.mov(kHomeOf[guest_high], kHostRax);
    }
    if (in.flags_written != 0) flags_produced();
    return true;
}

// One of AH, CH, DH and BH, and memory. The address is in a register that only REX reaches, with
// which those cannot be named: the two low bytes of the register are swapped for the time being.
bool Translation::high_byte_and_memory(const GuestInstruction& in) {
    const unsigned visible = in.decoded.visible_operands();
    if (visible != 2) return false;
    const bool memory_first = in.operand(0).type == ZYDIS_OPERAND_TYPE_MEMORY;
    const ZydisDecodedOperand& mem = in.operand(memory_first ? 0 : 1);
    const ZydisDecodedOperand& high = in.operand(memory_first ? 1 : 0);
    if (mem.type != ZYDIS_OPERAND_TYPE_MEMORY || high.type != ZYDIS_OPERAND_TYPE_REGISTER ||
        mem.encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM || mem.size != 8 ||
        high.encoding != ZYDIS_OPERAND_ENCODING_MODRM_REG || !is_high_byte(high.reg.value)) {
        return false;
    }
    const HostReg home = kHomeOf[high.reg.value - ZYDIS_REGISTER_AH];
    const auto swap = [&] {  // ROL r16, 8
        e_.byte(0x66);
        e_.rex(false, 0, 0, home);
        e_.byte(0xc1);
        e_.modrm_reg(0, home);
        e_.byte(8);
    };
    Fields fields = original_fields(in.decoded, in.bytes);
    // The register is not what it is to the guest while a recipe might be wanted.
    save_flags();
    access(in, mem, 1, writes(mem) ? AccessKind::kWrite : AccessKind::kRead, kScratch1);
    swap();
    want_flags(in);
    fields.has_memory = true;
    fields.memory = {.base = kScratch1};
    fields.reg = home;
    fields.force_rex = true;
    reencode(e_, in.decoded, in.bytes, fields);
    if (in.flags_written != 0) {
        flags_produced();
        save_flags();
    }
    swap();
    flags_clobbered();
    return true;
}

}  // namespace mynah::translator
