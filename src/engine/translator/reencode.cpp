#include "engine/translator/reencode.h"

namespace mynah::translator {
namespace {

struct Vex {
    unsigned map, w, vvvv, l, pp;
};

// Not 64-bit code: there is no REX, and the bits that reach registers 8 to 15 are ignored.
bool is_legacy(const Instruction& instruction) {
    return instruction.info.machine_mode != ZYDIS_MACHINE_MODE_LONG_64;
}

// An integer instruction with 16-bit operands, which needs a prefix in 64-bit code.
bool has_word_operands(const Instruction& instruction) {
    const auto& info = instruction.info;
    const bool x87 = info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (info.opcode & 0xf8) == 0xd8;
    if (x87 || info.operand_count_visible == 0) return false;
    // The destination of CRC32 has its own size.
    return instruction.operands[info.mnemonic == ZYDIS_MNEMONIC_CRC32 ? 1 : 0].size == 16;
}

Vex read_vex(const Instruction& instruction, const std::byte* bytes) {
    const auto at = [&](unsigned i) {
        return std::to_integer<unsigned>(bytes[instruction.info.raw.vex.offset + i]);
    };
    if (at(0) == 0xc5) {
        return {.map = 1, .w = 0, .vvvv = ~at(1) >> 3 & 15, .l = at(1) >> 2 & 1, .pp = at(1) & 3};
    }
    return {.map = at(1) & 31,
            .w = at(2) >> 7,
            .vvvv = ~at(2) >> 3 & (is_legacy(instruction) ? 7u : 15u),
            .l = at(2) >> 2 & 1,
            .pp = at(2) & 3};
}

void prefixes(Emitter& e, const Instruction& instruction) {
    const bool legacy = is_legacy(instruction);
    bool operand_size = legacy && has_word_operands(instruction);
    if (operand_size) e.byte(0x66);
    for (unsigned i = 0; i < instruction.info.raw.prefix_count; ++i) {
        const auto& prefix = instruction.info.raw.prefixes[i];
        if (prefix.value == 0x66 && legacy) {
            // In 16-bit code it means the opposite, unless it is part of the opcode.
            if (prefix.type == ZYDIS_PREFIX_TYPE_MANDATORY && !operand_size) e.byte(0x66);
            continue;
        }
        const bool keep = prefix.value == 0x66 || prefix.value == 0xf2 || prefix.value == 0xf3 ||
                          prefix.value == 0xf0;
        if (keep) e.byte(prefix.value);
    }
}

// INC and DEC in one byte, which is a REX prefix in 64-bit code.
bool is_short_increment(const Instruction& instruction) {
    return is_legacy(instruction) && instruction.info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
           (instruction.info.opcode & 0xf0) == 0x40;
}

void immediates(Emitter& e, const Instruction& instruction, const std::byte* bytes) {
    for (const auto& imm : instruction.info.raw.imm) {
        if (imm.size != 0) e.raw(bytes + imm.offset, imm.size / 8);
    }
}

void modrm(Emitter& e, const Instruction& instruction, const Fields& fields) {
    if ((instruction.info.attributes & ZYDIS_ATTRIB_HAS_MODRM) == 0) return;
    if (fields.has_memory) {
        e.modrm_mem(fields.reg, fields.memory);
    } else {
        e.modrm_reg(fields.reg, fields.rm);
    }
}

unsigned index_of(const HostMem& mem) { return mem.index == kNoHostReg ? 0 : mem.index; }
unsigned base_of(const HostMem& mem) { return mem.base == kNoHostReg ? 0 : mem.base; }

// 82 is the same as 80, and not valid in 64-bit code.
unsigned valid_opcode(const Instruction& instruction) {
    const auto& info = instruction.info;
    const bool alias = is_legacy(instruction) && info.opcode == 0x82 &&
                       info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT;
    return alias ? 0x80u : info.opcode;
}

}  // namespace

Fields original_fields(const Instruction& instruction, const std::byte* bytes) {
    Fields fields;
    const auto& raw = instruction.info.raw;
    unsigned r = raw.rex.R, b = raw.rex.B;
    if (instruction.info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
        const auto first = std::to_integer<unsigned>(bytes[raw.vex.offset + 1]);
        r = (first >> 7 & 1) ^ 1;
        b = bytes[raw.vex.offset] == std::byte{0xc5} ? 0 : (first >> 5 & 1) ^ 1;
        if (is_legacy(instruction)) r = b = 0;
        fields.vvvv = static_cast<uint8_t>(read_vex(instruction, bytes).vvvv);
    }
    fields.reg = static_cast<uint8_t>(raw.modrm.reg | r << 3);
    fields.rm = static_cast<uint8_t>(raw.modrm.rm | b << 3);
    fields.opcode = static_cast<uint8_t>((instruction.info.opcode & 7u) | b << 3);
    return fields;
}

void reencode(Emitter& e, const Instruction& instruction, const std::byte* bytes,
              const Fields& fields) {
    const auto& info = instruction.info;
    const bool has_modrm = (info.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;
    const unsigned base = fields.has_memory ? base_of(fields.memory)
                          : has_modrm       ? fields.rm
                                            : fields.opcode;
    const unsigned index = fields.has_memory ? index_of(fields.memory) : 0;
    if (info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
        const Vex vex = read_vex(instruction, bytes);
        e.byte(0xc4);
        e.byte((fields.reg & 8u ? 0 : 0x80u) | (index & 8 ? 0 : 0x40u) | (base & 8 ? 0 : 0x20u) |
               vex.map);
        e.byte(vex.w << 7 | (~unsigned{fields.vvvv} & 15) << 3 | vex.l << 2 | vex.pp);
        e.byte(info.opcode);
    } else {
        prefixes(e, instruction);
        e.rex(info.raw.rex.W != 0, has_modrm ? fields.reg : 0u, index, base, fields.force_rex);
        switch (info.opcode_map) {
            case ZYDIS_OPCODE_MAP_0F:
                e.byte(0x0f);
                break;
            case ZYDIS_OPCODE_MAP_0F38:
                e.byte(0x0f);
                e.byte(0x38);
                break;
            case ZYDIS_OPCODE_MAP_0F3A:
                e.byte(0x0f);
                e.byte(0x3a);
                break;
            default:
                break;
        }
        if (is_short_increment(instruction)) {
            e.byte(0xff);
            e.modrm_reg(info.opcode >> 3 & 1u, fields.opcode);
            return;
        }
        const bool in_opcode = !has_modrm && instruction.operands[0].encoding ==
                                                 ZYDIS_OPERAND_ENCODING_OPCODE;
        e.byte(in_opcode ? (info.opcode & 0xf8u) | (fields.opcode & 7u)
                         : valid_opcode(instruction));
    }
    modrm(e, instruction, fields);
    immediates(e, instruction, bytes);
}

}  // namespace mynah::translator
