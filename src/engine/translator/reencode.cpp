#include "engine/translator/reencode.h"

namespace mynah::translator {
namespace {

struct Vex {
    unsigned map, w, vvvv, l, pp;
};

Vex read_vex(const Instruction& instruction, const std::byte* bytes) {
    const auto at = [&](unsigned i) {
        return std::to_integer<unsigned>(bytes[instruction.info.raw.vex.offset + i]);
    };
    if (at(0) == 0xc5) {
        return {.map = 1, .w = 0, .vvvv = ~at(1) >> 3 & 15, .l = at(1) >> 2 & 1, .pp = at(1) & 3};
    }
    return {.map = at(1) & 31,
            .w = at(2) >> 7,
            .vvvv = ~at(2) >> 3 & 15,
            .l = at(2) >> 2 & 1,
            .pp = at(2) & 3};
}

void prefixes(Emitter& e, const Instruction& instruction) {
    for (unsigned i = 0; i < instruction.info.raw.prefix_count; ++i) {
        const unsigned value = instruction.info.raw.prefixes[i].value;
        const bool keep = value == 0x66 || value == 0xf2 || value == 0xf3 || value == 0xf0;
        if (keep) e.byte(value);
    }
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

}  // namespace

Fields original_fields(const Instruction& instruction, const std::byte* bytes) {
    Fields fields;
    const auto& raw = instruction.info.raw;
    unsigned r = raw.rex.R, b = raw.rex.B;
    if (instruction.info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
        const auto first = std::to_integer<unsigned>(bytes[raw.vex.offset + 1]);
        r = (first >> 7 & 1) ^ 1;
        b = bytes[raw.vex.offset] == std::byte{0xc5} ? 0 : (first >> 5 & 1) ^ 1;
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
        const bool in_opcode = !has_modrm && instruction.operands[0].encoding == ZYDIS_OPERAND_ENCODING_OPCODE;
        e.byte(in_opcode ? (info.opcode & 0xf8u) | (fields.opcode & 7u) : info.opcode);
    }
    modrm(e, instruction, fields);
    immediates(e, instruction, bytes);
}

}  // namespace mynah::translator
