#include "isa/decode_cache.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

namespace mynah {
namespace {

bool same(const Instruction& a, const Instruction& b) {
    return std::memcmp(&a.info, &b.info, sizeof a.info) == 0 &&
           std::memcmp(a.operands, b.operands, sizeof a.operands) == 0;
}

// Random bytes, with beginnings that come again so that shapes are met more than once.
TEST(DecodeCache, AgreesWithTheDecoder) {
    std::mt19937_64 random(7);
    DecodeCache cache;
    constexpr std::array<uint8_t, 12> kPrefixes = {0x66, 0xf2, 0xf3, 0x48, 0x41, 0x4c,
                                                   0x0f, 0xc5, 0xc4, 0x64, 0xf0, 0x67};
    unsigned decoded = 0;
    uint64_t misses = 0;
    for (unsigned round = 0; round < 4000; ++round) {
        std::array<std::byte, 15> bytes;
        for (auto& each : bytes) each = static_cast<std::byte>(random());
        unsigned begin = 0;
        for (unsigned n = random() % 3; n > 0; --n)
            bytes[begin++] = static_cast<std::byte>(kPrefixes[random() % kPrefixes.size()]);
        const std::array<std::byte, 15> first = bytes;
        for (unsigned variant = 0; variant < 12; ++variant) {
            bytes = first;
            // Shapes end somewhere here; what comes behind changes.
            for (size_t i = 2 + random() % 6; i < bytes.size(); ++i)
                bytes[i] = static_cast<std::byte>(random());
            const size_t size = random() % 4 == 0 ? random() % 16 : bytes.size();
            const auto span = std::span(bytes).first(size);
            Instruction expected{};
            const DecodeStatus status = decode(span, CodeSize::k64, expected);
            const Instruction* found = nullptr;
            ASSERT_EQ(cache.decode(span, CodeSize::k64, found), status);
            if (status != DecodeStatus::kOk) continue;
            ++decoded;
            ASSERT_TRUE(same(*found, expected)) << disassemble(expected, 0);
        }
        misses = cache.misses();
    }
    EXPECT_GT(decoded, 10000u);
    EXPECT_LT(misses, 4000u * 12);
}

// Every opcode of the two common maps, with each form of operand.
TEST(DecodeCache, AgreesForEveryOpcodeAndForm) {
    std::mt19937_64 random(8);
    DecodeCache cache;
    for (unsigned map = 0; map < 2; ++map) {
        for (unsigned opcode = 0; opcode < 256; ++opcode) {
            for (unsigned modrm = 0; modrm < 256; ++modrm) {
                for (unsigned variant = 0; variant < 2; ++variant) {
                    std::array<std::byte, 15> bytes;
                    for (auto& each : bytes) each = static_cast<std::byte>(random());
                    size_t i = 0;
                    if (map == 1) bytes[i++] = std::byte{0x0f};
                    bytes[i++] = static_cast<std::byte>(opcode);
                    bytes[i++] = static_cast<std::byte>(modrm);
                    bytes[i++] = std::byte{0x24};
                    Instruction expected{};
                    const DecodeStatus status = decode(bytes, CodeSize::k64, expected);
                    const Instruction* found = nullptr;
                    ASSERT_EQ(cache.decode(bytes, CodeSize::k64, found), status);
                    if (status != DecodeStatus::kOk) continue;
                    ASSERT_TRUE(same(*found, expected)) << disassemble(expected, 0);
                }
            }
        }
    }
    // Half of all calls at least met a shape they knew.
    EXPECT_LT(cache.misses(), 2u * 256 * 256 * 5 / 4);
}

TEST(DecodeCache, CopiesHaveNoOperandsBehindTheLast) {
    DecodeCache cache;
    const std::array bytes = {std::byte{0x90}};
    const Instruction* found = nullptr;
    ASSERT_EQ(cache.decode(bytes, CodeSize::k64, found), DecodeStatus::kOk);
    Instruction copy;
    std::memset(static_cast<void*>(&copy), 0xff, sizeof copy);
    copy_instruction(copy, *found);
    EXPECT_EQ(copy.operands[3].type, ZYDIS_OPERAND_TYPE_UNUSED);
    EXPECT_EQ(copy.length(), 1u);
}

TEST(DecodeCache, OtherCodeSizesPassThrough) {
    DecodeCache cache;
    const std::array bytes = {std::byte{0x40}};  // INC AX
    const Instruction* found = nullptr;
    ASSERT_EQ(cache.decode(bytes, CodeSize::k16, found), DecodeStatus::kOk);
    EXPECT_EQ(found->mnemonic(), ZYDIS_MNEMONIC_INC);
}

}  // namespace
}  // namespace mynah
