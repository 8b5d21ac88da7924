#include "engine/translator/emitter.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>

#include "isa/instruction.h"

namespace mynah::translator {
namespace {

constexpr HostReg kRegisters[] = {kHostRax, kHostRcx, kHostRdx, kHostRbx, kHostRsp, kHostRbp,
                                  kHostRsi, kHostRdi, kHostR8,  kHostR9,  kHostR10, kHostR11,
                                  kHostR12, kHostR13, kHostR14, kHostR15};

// What the emitter wrote, decoded; at most one instruction.
Instruction emitted(const std::function<void(Emitter&)>& emit) {
    std::array<std::byte, 1024> bytes{};
    Emitter e(bytes.data(), bytes.data(), bytes.size());
    emit(e);
    Instruction instruction{};
    const auto written = std::span(bytes).first(e.offset());
    EXPECT_EQ(decode(written, CodeSize::k64, instruction), DecodeStatus::kOk);
    EXPECT_EQ(instruction.length(), e.offset());
    return instruction;
}

std::string text_of(const std::function<void(Emitter&)>& emit) {
    return disassemble(emitted(emit), 0);
}

ZydisRegister wide(HostReg reg) {
    return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR64, static_cast<ZyanU8>(reg));
}

TEST(Emitter, EncodesEveryMemoryOperand) {
    for (const HostReg base : kRegisters) {
        for (const HostReg index : kRegisters) {
            for (const int32_t disp : {0, 1, -128, 127, 128, -129, 0x12345678, -0x12345678}) {
                for (uint8_t shift = 0; shift < 4; ++shift) {
                    HostMem mem{.base = base, .index = index, .scale_shift = shift, .disp = disp};
                    if (index == kHostRsp) {  // cannot be one: stands for none
                        mem.index = kNoHostReg;
                        mem.scale_shift = 0;
                    }
                    const Instruction in =
                        emitted([&](Emitter& e) { e.load(kHostR9, mem); });
                    ASSERT_EQ(in.mnemonic(), ZYDIS_MNEMONIC_MOV);
                    ASSERT_EQ(in.operands[0].reg.value, ZYDIS_REGISTER_R9);
                    const auto& decoded = in.operands[1].mem;
                    ASSERT_EQ(decoded.base, wide(base));
                    ASSERT_EQ(decoded.disp.has_displacement ? decoded.disp.value : 0, disp);
                    if (mem.index == kNoHostReg) {
                        ASSERT_EQ(decoded.index, ZYDIS_REGISTER_NONE);
                    } else {
                        ASSERT_EQ(decoded.index, wide(index));
                        ASSERT_EQ(decoded.scale, 1u << shift);
                    }
                }
            }
        }
    }
}

TEST(Emitter, WithoutABaseTheDisplacementIsTheAddress) {
    EXPECT_EQ(text_of([](Emitter& e) { e.load(kHostRax, {.disp = 0x1234}); }), "mov rax, [0x0000000000001234]");
    EXPECT_EQ(text_of([](Emitter& e) {
                  e.lea(kHostRax, {.index = kHostR12, .scale_shift = 3, .disp = 0x10});
              }),
              "lea rax, [r12*8+0x10]");
}

TEST(Emitter, EncodesEveryPairOfRegisters) {
    for (const HostReg a : kRegisters) {
        for (const HostReg b : kRegisters) {
            for (const bool w : {false, true}) {
                const Instruction mov = emitted([&](Emitter& e) { e.mov(a, b, w); });
                ASSERT_EQ(mov.mnemonic(), ZYDIS_MNEMONIC_MOV);
                ASSERT_EQ(mov.info.operand_width, w ? 64 : 32);
                ASSERT_EQ(ZydisRegisterGetId(mov.operands[0].reg.value), a);
                ASSERT_EQ(ZydisRegisterGetId(mov.operands[1].reg.value), b);
                const Instruction test = emitted([&](Emitter& e) { e.test(a, b, w); });
                ASSERT_EQ(test.mnemonic(), ZYDIS_MNEMONIC_TEST);
            }
            const Instruction rorx = emitted([&](Emitter& e) { e.rorx(a, b, 7); });
            ASSERT_EQ(rorx.mnemonic(), ZYDIS_MNEMONIC_RORX);
            ASSERT_EQ(rorx.operands[0].reg.value, wide(a));
            ASSERT_EQ(rorx.operands[1].reg.value, wide(b));
            ASSERT_EQ(rorx.operands[2].imm.value.u, 7u);
        }
    }
}

TEST(Emitter, EncodesTheEightOperations) {
    constexpr ZydisMnemonic kMnemonics[] = {
        ZYDIS_MNEMONIC_ADD, ZYDIS_MNEMONIC_OR,  ZYDIS_MNEMONIC_ADC, ZYDIS_MNEMONIC_SBB,
        ZYDIS_MNEMONIC_AND, ZYDIS_MNEMONIC_SUB, ZYDIS_MNEMONIC_XOR, ZYDIS_MNEMONIC_CMP};
    const HostMem mem{.base = kHostR13, .disp = 0};
    for (unsigned i = 0; i < 8; ++i) {
        const auto op = static_cast<Alu>(i);
        EXPECT_EQ(emitted([&](Emitter& e) { e.alu(op, kHostR8, kHostRcx); }).mnemonic(),
                  kMnemonics[i]);
        const Instruction load = emitted([&](Emitter& e) { e.alu(op, kHostR8, mem); });
        EXPECT_EQ(load.mnemonic(), kMnemonics[i]);
        EXPECT_EQ(load.operands[0].reg.value, ZYDIS_REGISTER_R8);
        for (const int32_t value : {0, 1, -1, 127, -128, 128, -129, 0x7fffffff}) {
            const Instruction imm = emitted([&](Emitter& e) { e.alu_imm(op, kHostRbx, value); });
            EXPECT_EQ(imm.mnemonic(), kMnemonics[i]);
            EXPECT_EQ(imm.operands[1].imm.value.s, value);
            const Instruction to =
                emitted([&](Emitter& e) { e.alu_mem_imm(op, mem, value, false); });
            EXPECT_EQ(to.mnemonic(), kMnemonics[i]);
            EXPECT_EQ(to.operands[0].size, 32);
            EXPECT_EQ(to.operands[1].imm.value.s, value);
        }
    }
}

TEST(Emitter, LoadsAnyConstant) {
    for (const uint64_t value :
         {uint64_t{0}, uint64_t{1}, uint64_t{0x7fffffff}, uint64_t{0x80000000},
          uint64_t{0xffffffff}, uint64_t{0x100000000}, ~uint64_t{0}, ~uint64_t{0} << 31,
          uint64_t{0x123456789abcdef0}}) {
        for (const HostReg reg : {kHostRax, kHostR15}) {
            const Instruction in = emitted([&](Emitter& e) { e.mov_imm(reg, value); });
            EXPECT_EQ(in.mnemonic(), ZYDIS_MNEMONIC_MOV);
            // 32 bits are extended with zeros.
            const bool narrow = in.operands[0].size == 32;
            EXPECT_EQ(narrow ? in.operands[1].imm.value.u & 0xffffffff
                             : in.operands[1].imm.value.u,
                      value);
            const Instruction full = emitted([&](Emitter& e) { e.mov_imm64(reg, value); });
            EXPECT_EQ(full.operands[1].imm.value.u, value);
            EXPECT_EQ(full.length(), 10u);
        }
    }
}

TEST(Emitter, EncodesTheOthers) {
    const HostMem mem{.base = kHostR12, .disp = 8};
    EXPECT_EQ(text_of([&](Emitter& e) { e.store(mem, kHostR9); }), "mov [r12+0x08], r9");
    EXPECT_EQ(text_of([&](Emitter& e) { e.store16(mem, kHostR9); }), "mov [r12+0x08], r9w");
    EXPECT_EQ(text_of([&](Emitter& e) { e.store8(mem, kHostRsi); }), "mov [r12+0x08], sil");
    EXPECT_EQ(text_of([&](Emitter& e) { e.load_zero16(kHostR8, mem); }),
              "movzx r8d, word ptr [r12+0x08]");
    EXPECT_EQ(text_of([&](Emitter& e) { e.store_imm32(mem, -2); }),
              "mov qword ptr [r12+0x08], 0xFFFFFFFFFFFFFFFE");
    EXPECT_EQ(text_of([&](Emitter& e) { e.store_imm8(mem, 5); }), "mov byte ptr [r12+0x08], 0x05");
    EXPECT_EQ(text_of([&](Emitter& e) { e.cmp8_mem_imm(mem, 5); }), "cmp byte ptr [r12+0x08], 0x05");
    EXPECT_EQ(text_of([&](Emitter& e) { e.test_imm(kHostR9, 16); }), "test r9, 0x10");
    EXPECT_EQ(text_of([&](Emitter& e) { e.shift_right(kHostR9, 7); }), "shr r9, 0x07");
    EXPECT_EQ(text_of([&](Emitter& e) { e.imul_imm(kHostR9, kHostRcx, 3, false); }),
              "imul r9d, ecx, 0x03");
    EXPECT_EQ(text_of([&](Emitter& e) { e.bt_mem(mem, 8); }), "bt dword ptr [r12+0x08], 0x08");
    EXPECT_EQ(text_of([&](Emitter& e) { e.lahf(); }), "lahf");
    EXPECT_EQ(text_of([&](Emitter& e) { e.sahf(); }), "sahf");
    EXPECT_EQ(text_of([&](Emitter& e) { e.seto_al(); }), "seto al");
    EXPECT_EQ(text_of([&](Emitter& e) { e.add_al(0x7f); }), "add al, 0x7F");
    EXPECT_EQ(text_of([&](Emitter& e) { e.push(kHostR9); }), "push r9");
    EXPECT_EQ(text_of([&](Emitter& e) { e.pop(kHostRbx); }), "pop rbx");
    EXPECT_EQ(text_of([&](Emitter& e) { e.op_push(mem); }), "push [r12+0x08]");
    EXPECT_EQ(text_of([&](Emitter& e) { e.op_pop(mem); }), "pop [r12+0x08]");
    EXPECT_EQ(text_of([&](Emitter& e) { e.jmp_reg(kHostR9); }), "jmp r9");
    EXPECT_EQ(text_of([&](Emitter& e) { e.jmp_mem(mem); }), "jmp [r12+0x08]");
    EXPECT_EQ(text_of([&](Emitter& e) { e.call_reg(kHostRbx); }), "call rbx");
    EXPECT_EQ(text_of([&](Emitter& e) { e.ret(); }), "ret");
}

TEST(Emitter, JumpsReachLabelsBoundBeforeAndAfter) {
    std::array<std::byte, 1024> bytes{};
    Emitter e(bytes.data(), bytes.data(), bytes.size());
    Label back, ahead;
    e.bind(back);
    e.jmp(ahead);
    e.jcc(Condition::kNle, ahead);
    e.jcc(Condition::kO, back);
    e.bind(ahead);
    const uint32_t end = e.offset();
    const auto target = [&](uint32_t at, ZydisMnemonic mnemonic) {
        Instruction in{};
        EXPECT_EQ(decode(std::span(bytes).subspan(at), CodeSize::k64, in), DecodeStatus::kOk);
        EXPECT_EQ(in.mnemonic(), mnemonic);
        return at + in.length() + in.operands[0].imm.value.u;
    };
    EXPECT_EQ(target(0, ZYDIS_MNEMONIC_JMP), end);
    EXPECT_EQ(target(5, ZYDIS_MNEMONIC_JNLE), end);
    EXPECT_EQ(target(11, ZYDIS_MNEMONIC_JO), 0u);
}

TEST(Emitter, WritesNothingBehindItsEnd) {
    std::array<std::byte, 1024> bytes{};
    Emitter e(bytes.data(), bytes.data(), 512);
    while (!e.full()) e.mov_imm(kHostRax, ~uint64_t{0} >> 1);
    for (unsigned i = 0; i < 100; ++i) e.qword(~uint64_t{0});
    EXPECT_LE(e.offset(), 512u);
    for (size_t i = 512; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], std::byte{0});
}

}  // namespace
}  // namespace mynah::translator
