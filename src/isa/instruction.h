#pragma once

#include <Zydis/Zydis.h>

#include <cstdint>
#include <span>
#include <string>

namespace mynah {

// Default operand and address size of a code segment, and of a stack segment.
enum class CodeSize : uint8_t { k16, k32, k64 };

// One decoded instruction, in Zydis' vocabulary.
struct Instruction {
    ZydisDecodedInstruction info;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

    ZydisMnemonic mnemonic() const { return info.mnemonic; }
    unsigned length() const { return info.length; }
    unsigned visible_operands() const { return info.operand_count_visible; }
    bool has_prefix(ZydisInstructionAttributes attribute) const {
        return (info.attributes & attribute) != 0;
    }
};

enum class DecodeStatus : uint8_t {
    kOk,
    kTruncated,  // more bytes are needed
    kTooLong,    // over 15 bytes: #GP
    kInvalid,    // #UD
};

inline constexpr unsigned kMaxInstructionLength = 15;

// Decodes the instruction at the start of `bytes`. Pure; any thread.
DecodeStatus decode(std::span<const std::byte> bytes, CodeSize size, Instruction& out);

// Intel-syntax text of the instruction, as at linear address `address`.
std::string disassemble(const Instruction& instruction, uint64_t address);

}  // namespace mynah
