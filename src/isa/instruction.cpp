#include "isa/instruction.h"

#include <array>

namespace mynah {
namespace {

ZydisDecoder make_decoder(ZydisMachineMode mode, ZydisStackWidth width) {
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, mode, width);
    return decoder;
}

const ZydisDecoder& decoder_for(CodeSize size) {
    static const std::array<ZydisDecoder, 3> decoders = {
        make_decoder(ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16),
        make_decoder(ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32),
        make_decoder(ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64),
    };
    return decoders[static_cast<unsigned>(size)];
}

// Zydis 4.0 takes R13D for the base of a 32-bit address with ModRM.mod = 0, SIB.base = 5 and REX.B,
// where there is no base but a displacement, whatever REX.B says [SDM 2A table 2-5].
void correct_address(Instruction& instruction) {
    const auto& raw = instruction.info.raw;
    if (instruction.info.address_width != 32 || !instruction.has_prefix(ZYDIS_ATTRIB_HAS_SIB) ||
        raw.modrm.mod != 0 || raw.sib.base != 5) {
        return;
    }
    for (ZydisDecodedOperand& operand : instruction.operands) {
        if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY || operand.mem.base != ZYDIS_REGISTER_R13D ||
            operand.encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM) {
            continue;
        }
        operand.mem.base = ZYDIS_REGISTER_NONE;
        operand.mem.disp.has_displacement = ZYAN_TRUE;
        operand.mem.disp.value = raw.disp.value;
    }
}

}  // namespace

DecodeStatus decode(std::span<const std::byte> bytes, CodeSize size, Instruction& out) {
    const ZyanStatus status = ZydisDecoderDecodeFull(&decoder_for(size), bytes.data(), bytes.size(),
                                                     &out.info, out.operands);
    if (ZYAN_SUCCESS(status)) {
        correct_address(out);
        return DecodeStatus::kOk;
    }
    if (status == ZYDIS_STATUS_NO_MORE_DATA) {
        return bytes.size() >= kMaxInstructionLength ? DecodeStatus::kTooLong
                                                     : DecodeStatus::kTruncated;
    }
    if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG) return DecodeStatus::kTooLong;
    return DecodeStatus::kInvalid;
}

std::string disassemble(const Instruction& instruction, uint64_t address) {
    ZydisFormatter formatter;
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    std::array<char, 256> text{};
    ZydisFormatterFormatInstruction(&formatter, &instruction.info, instruction.operands,
                                    instruction.info.operand_count_visible, text.data(),
                                    text.size(), address, nullptr);
    return text.data();
}

}  // namespace mynah
