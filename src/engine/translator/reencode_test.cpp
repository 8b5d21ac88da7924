#include "engine/translator/reencode.h"

#include <gtest/gtest.h>

#include <array>
#include <initializer_list>
#include <string>
#include <vector>

namespace mynah::translator {
namespace {

std::vector<std::byte> bytes_of(std::initializer_list<unsigned> values) {
    std::vector<std::byte> out;
    for (const unsigned value : values) out.push_back(static_cast<std::byte>(value));
    return out;
}

Instruction decoded(std::span<const std::byte> bytes) {
    Instruction in{};
    EXPECT_EQ(decode(bytes, CodeSize::k64, in), DecodeStatus::kOk);
    return in;
}

// The instruction written again with `fields`, as text; it must be one instruction.
std::string again(std::span<const std::byte> bytes, const Fields& fields) {
    const Instruction in = decoded(bytes);
    std::array<std::byte, 512> out{};
    Emitter e(out.data(), out.data(), out.size());
    reencode(e, in, bytes.data(), fields);
    const Instruction result = decoded(std::span(out).first(e.offset()));
    EXPECT_EQ(result.length(), e.offset());
    return disassemble(result, 0);
}

TEST(Reencode, KeepsRegisterFormsAsTheyAre) {
    const std::vector<std::vector<std::byte>> forms = {
        bytes_of({0x01, 0xd8}),                          // add eax, ebx
        bytes_of({0x66, 0x01, 0xd8}),                    // add ax, bx
        bytes_of({0x48, 0x01, 0xd8}),                    // add rax, rbx
        bytes_of({0x4d, 0x01, 0xf9}),                    // add r9, r15
        bytes_of({0x41, 0xb9, 1, 2, 3, 4}),              // mov r9d, imm32
        bytes_of({0x49, 0xbf, 1, 2, 3, 4, 5, 6, 7, 8}),  // mov r15, imm64
        bytes_of({0x41, 0x0f, 0xca}),                    // bswap r10d
        bytes_of({0x44, 0x0f, 0xb6, 0xc3}),              // movzx r8d, bl
        bytes_of({0x48, 0x69, 0xd9, 1, 2, 3, 4}),        // imul rbx, rcx, imm32
        bytes_of({0x48, 0xc1, 0xe3, 0x05}),              // shl rbx, 5
        bytes_of({0x4c, 0x0f, 0xa4, 0xc3, 0x05}),        // shld rbx, r8, 5
        bytes_of({0xf3, 0x48, 0x0f, 0xb8, 0xd9}),        // popcnt rbx, rcx
        bytes_of({0xf2, 0x4c, 0x0f, 0x38, 0xf1, 0xc3}),  // crc32 r8, rbx
        bytes_of({0x66, 0x45, 0x0f, 0x38, 0x00, 0xc1}),  // pshufb xmm8, xmm9
        bytes_of({0x66, 0x0f, 0x3a, 0x0f, 0xc1, 0x04}),  // palignr xmm0, xmm1, 4
        bytes_of({0xf2, 0x44, 0x0f, 0x58, 0xc1}),        // addsd xmm8, xmm1
        bytes_of({0xc5, 0xf5, 0x58, 0xc2}),              // vaddpd ymm0, ymm1, ymm2
        bytes_of({0xc4, 0x41, 0x35, 0x58, 0xc2}),        // vaddpd ymm8, ymm9, ymm10
        bytes_of({0xc4, 0xe2, 0xf0, 0xf2, 0xc3}),        // andn rax, rcx, rbx
        bytes_of({0xc4, 0x42, 0xb3, 0xf7, 0xc2}),        // shrx r8, r10, r9
        bytes_of({0xc4, 0xe3, 0x75, 0x4a, 0xc2, 0x30}),  // vblendvps ymm0, ymm1, ymm2, ymm3
    };
    for (const auto& form : forms) {
        const Instruction in = decoded(form);
        EXPECT_EQ(again(form, original_fields(in, form.data())), disassemble(in, 0));
    }
}

TEST(Reencode, ReplacesEveryRegister) {
    const auto add = bytes_of({0x48, 0x01, 0xd8});
    const auto andn = bytes_of({0xc4, 0xe2, 0xf0, 0xf2, 0xc3});
    const auto name = [](unsigned number) {
        return std::string(ZydisRegisterGetString(
            ZydisRegisterEncode(ZYDIS_REGCLASS_GPR64, static_cast<ZyanU8>(number))));
    };
    for (uint8_t a = 0; a < 16; ++a) {
        for (uint8_t b = 0; b < 16; ++b) {
            EXPECT_EQ(again(add, {.reg = a, .rm = b}), "add " + name(b) + ", " + name(a));
            EXPECT_EQ(again(andn, {.reg = 9, .rm = a, .vvvv = b}),
                      "andn r9, " + name(b) + ", " + name(a));
        }
        EXPECT_EQ(again(bytes_of({0x48, 0xb8, 1, 0, 0, 0, 0, 0, 0, 0x10}), {.opcode = a}),
                  "mov " + name(a) + ", 0x1000000000000001");
    }
}

// Whatever shape the guest's address has, the host's takes its place.
TEST(Reencode, ReplacesEveryShapeOfAddress) {
    const HostMem host{.base = kHostR15, .disp = 0x40};
    for (unsigned mod = 0; mod < 3; ++mod) {
        for (unsigned rm = 0; rm < 8; ++rm) {
            for (const unsigned sib : {0x00u, 0x25u, 0x24u, 0xe5u, 0x7cu}) {
                for (unsigned rex = 0x48; rex < 0x50; ++rex) {
                    auto bytes = bytes_of({rex, 0x8b, mod << 6 | 3 << 3 | rm});
                    if (rm == 4) bytes.push_back(static_cast<std::byte>(sib));
                    bytes.resize(bytes.size() + 4, std::byte{0x11});
                    Fields fields = original_fields(decoded(bytes), bytes.data());
                    fields.has_memory = true;
                    fields.memory = host;
                    EXPECT_EQ(again(bytes, fields),
                              (rex & 4) != 0 ? "mov r11, [r15+0x40]" : "mov rbx, [r15+0x40]");
                }
            }
        }
    }
}

TEST(Reencode, ReplacesAddressesOfVexForms) {
    // vpaddd ymm9, ymm3, [r13+r14*2+8]; the two-byte form has no bits for base and index
    const auto three = bytes_of({0xc4, 0x01, 0x65, 0xfe, 0x4c, 0x75, 0x08});
    const auto two = bytes_of({0xc5, 0x65, 0xfe, 0x49, 0x08});
    for (const auto& form : {three, two}) {
        for (const HostReg base : {kHostRax, kHostR12, kHostR13, kHostR15}) {
            Fields fields = original_fields(decoded(form), form.data());
            fields.has_memory = true;
            fields.memory = {.base = base, .index = kHostR10, .scale_shift = 2, .disp = -4};
            const std::string name = ZydisRegisterGetString(
                ZydisRegisterEncode(ZYDIS_REGCLASS_GPR64, static_cast<ZyanU8>(base)));
            EXPECT_EQ(again(form, fields), "vpaddd ymm9, ymm3, [" + name + "+r10*4-0x04]");
        }
    }
}

TEST(Reencode, DropsSegmentsAndAddressSizesAndKeepsLocks) {
    Fields fields{.reg = 1, .has_memory = true, .memory = {.base = kHostRax}};
    EXPECT_EQ(again(bytes_of({0x64, 0x67, 0x8b, 0x0b}), fields), "mov ecx, [rax]");
    EXPECT_EQ(again(bytes_of({0xf0, 0x65, 0x66, 0x01, 0x0b}), fields), "lock add [rax], cx");
}

TEST(Reencode, KeepsImmediatesBehindAddressesOfAnotherLength) {
    // add qword ptr [rip+disp32], imm8, and imm32
    Fields fields{.reg = 0, .has_memory = true, .memory = {.base = kHostR12, .disp = 0x1000}};
    EXPECT_EQ(again(bytes_of({0x48, 0x83, 0x05, 1, 2, 3, 4, 0xfe}), fields),
              "add qword ptr [r12+0x1000], 0xFFFFFFFFFFFFFFFE");
    EXPECT_EQ(again(bytes_of({0x48, 0x81, 0x05, 1, 2, 3, 4, 0x78, 0x56, 0x34, 0x12}), fields),
              "add qword ptr [r12+0x1000], 0x12345678");
}

TEST(Reencode, NamesLowBytesOfAnyRegister) {
    const auto mov = bytes_of({0x88, 0xc8});  // mov al, cl
    EXPECT_EQ(again(mov, {.reg = 6, .rm = 7, .force_rex = true}), "mov dil, sil");
    EXPECT_EQ(again(mov, {.reg = 12, .rm = 1, .force_rex = true}), "mov cl, r12b");
}

}  // namespace
}  // namespace mynah::translator
