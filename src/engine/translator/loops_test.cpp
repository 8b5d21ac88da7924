// Loops of one block, which are unrolled and whose accesses share checks: what they do must be what
// the interpreter does, wherever their operands lie and wherever they end.

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "engine/translator/sample_guest_test.h"

namespace mynah::translator {
namespace {

constexpr uint64_t kData = SampleGuest::kData;
constexpr size_t kDataSize = 4 * 4096;

SampleGuest interpreter() {
    return SampleGuest([](GuestMemory& memory, const CpuidPolicy& cpuid) {
        return make_interpreter(memory, cpuid);
    });
}

using Registers = std::array<uint64_t, 16>;

// Both engines from the same start; they must end in the same state, and with the same memory.
class Loops : public testing::Test {
  protected:
    void SetUp() override {
        scatter(guest_);
        scatter(reference_);
    }

    void compare(const std::function<void(Emitter&)>& code, const Registers& start) {
        const VcpuExit expected = run(reference_, code, start);
        // Twice: the second time blocks are linked, and loops are known.
        for (unsigned turn = 0; turn < 2; ++turn) {
            ASSERT_EQ(run(guest_, code, start), expected);
            const CpuState &a = reference_.state(), &b = guest_.state();
            for (unsigned i = 0; i < 16; ++i) EXPECT_EQ(b.gpr[i], a.gpr[i]) << "register " << i;
            EXPECT_EQ(b.rip, a.rip);
            EXPECT_EQ(b.flags.value(), a.flags.value());
            EXPECT_EQ(data(guest_), data(reference_));
        }
    }

    static std::vector<std::byte> data(SampleGuest& guest) {
        std::vector<std::byte> bytes(kDataSize);
        EXPECT_TRUE(guest.memory().read(GuestPhys(kData), bytes));
        return bytes;
    }

    SampleGuest guest_;
    SampleGuest reference_ = interpreter();

  private:
    // The data's pages change places in pairs, so that what crosses a page's end lies apart.
    static void scatter(SampleGuest& guest) {
        namespace entry = x86::page_entry;
        constexpr uint64_t kTable = 0x8000, kRights = entry::kPresent | entry::kWritable;
        for (uint64_t i = 0; i < 512; ++i) {
            EXPECT_TRUE(guest.memory().store(GuestPhys(kTable + 8 * i),
                                             (kData + ((i ^ 1) << 12)) | kRights));
        }
        const uint64_t directory = SampleGuest::kTables + 0x2000;
        EXPECT_TRUE(guest.memory().store(GuestPhys(directory + 8 * (kData >> 21)), kTable | kRights));
    }

    static VcpuExit run(SampleGuest& guest, const std::function<void(Emitter&)>& code,
                        const Registers& start) {
        guest.reset();
        guest.write(SampleGuest::kCode, code);
        std::vector<std::byte> bytes(kDataSize);
        for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37 + i / 251);
        EXPECT_TRUE(guest.memory().write(GuestPhys(kData), bytes));
        for (unsigned i = 0; i < 16; ++i) {
            if (i != kRsp) guest.state().gpr[i] = start[i];
        }
        return guest.run();
    }
};

Registers registers(std::initializer_list<std::pair<unsigned, uint64_t>> list) {
    Registers result{};
    for (const auto& [number, value] : list) result[number] = value;
    return result;
}

// Two pointers that move on, one of them by LEA.
void add_arrays(Emitter& e) {
    Label top;
    e.bind(top);
    e.load(kHostRax, {.base = kHostRsi});
    e.alu(Alu::kAdd, kHostRax, {.base = kHostRdi});
    e.store({.base = kHostRdi}, kHostRax);
    e.alu_imm(Alu::kAdd, kHostRsi, 8);
    e.lea(kHostRdi, {.base = kHostRdi, .disp = 8});
    e.alu_imm(Alu::kSub, kHostRcx, 1);
    e.jcc(Condition::kNz, top);
    SampleGuest::hlt(e);
}

TEST_F(Loops, AnyNumberOfTurns) {
    for (uint64_t turns = 1; turns <= 40; ++turns) {
        compare(add_arrays, registers({{kRsi, kData}, {kRdi, kData + 800}, {kRcx, turns}}));
    }
}

TEST_F(Loops, AcrossPages) {
    for (uint64_t offset = 4096 - 90; offset < 4096 + 10; offset += 3) {
        compare(add_arrays,
                registers({{kRsi, kData + offset}, {kRdi, kData + 6000}, {kRcx, 25}}));
        compare(add_arrays,
                registers({{kRsi, kData + 9000}, {kRdi, kData + offset}, {kRcx, 25}}));
    }
}

// What a turn wrote, the next one reads: shared checks must not change the order.
TEST_F(Loops, OverlappingOperands) {
    for (int64_t distance = -24; distance <= 24; ++distance) {
        compare(add_arrays, registers({{kRsi, kData + 500},
                                       {kRdi, kData + 500 + static_cast<uint64_t>(distance)},
                                       {kRcx, 30}}));
    }
}

// An address that is computed anew in every turn, and an index.
void sums(Emitter& e) {
    Label top;
    e.bind(top);
    e.lea(kHostRdx, {.base = kHostRdi, .index = kHostRax});
    e.load(kHostR8, {.base = kHostRdx, .disp = 8});
    e.alu(Alu::kXor, kHostR8, {.base = kHostRdx, .index = kHostRsi, .scale_shift = 1});
    e.store({.base = kHostRbx, .index = kHostRax, .scale_shift = 1}, kHostR8, false);
    e.alu_imm(Alu::kAdd, kHostRax, 4);
    e.alu(Alu::kCmp, kHostRax, kHostRbp);
    e.jcc(Condition::kNz, top);
    SampleGuest::hlt(e);
}

TEST_F(Loops, AddressesComputedAnew) {
    for (uint64_t offset = 4000; offset < 4100; offset += 7) {
        compare(sums, registers({{kRdi, kData + offset},
                                 {kRsi, 50},
                                 {kRbx, kData + 8000 + offset},
                                 {kRbp, 64}}));
    }
}

// Guest registers that live in memory, and a loop that a JMP closes.
void jump_closed(Emitter& e) {
    Label top, out;
    e.bind(top);
    e.alu_imm(Alu::kCmp, kHostR10, 0);
    e.jcc(Condition::kZ, out);
    e.load(kHostR11, {.base = kHostR15});
    e.alu(Alu::kAdd, kHostR11, {.base = kHostR15, .disp = 8});
    e.store({.base = kHostR15, .disp = 16}, kHostR11);
    e.alu_imm(Alu::kAdd, kHostR15, 24);
    e.alu_imm(Alu::kSub, kHostR10, 1);
    e.jmp(top);
    e.bind(out);
    SampleGuest::hlt(e);
}

TEST_F(Loops, ClosedByAJump) {
    for (uint64_t turns = 0; turns <= 20; ++turns)
        compare(jump_closed, registers({{kR15, kData + 4096 - 7 * turns}, {kR10, turns}}));
}

// Down to address 0 and below, where nothing is mapped: the turn, the instruction and the flags of
// the fault must be right. There is no handler, so that the state stays as it is.
void downwards(Emitter& e, int32_t step, bool store_first) {
    Label top;
    e.bind(top);
    e.alu_imm(Alu::kSub, kHostRsi, step);
    if (store_first) e.store({.base = kHostRbx}, kHostRdx);
    e.alu(Alu::kXor, kHostRdx, {.base = kHostRsi});
    e.alu(Alu::kCmp, kHostRdx, kHostRcx);
    e.load(kHostRax, {.base = kHostRsi, .disp = step});
    e.lea(kHostRcx, {.base = kHostRcx, .disp = 1});
    e.alu(Alu::kCmp, kHostRcx, kHostRbp);
    e.jcc(Condition::kNz, top);
    SampleGuest::hlt(e);
}

TEST_F(Loops, FaultsInAnyTurn) {
    for (uint64_t start = 8; start <= 200; start += 8) {
        for (const bool store_first : {false, true}) {
            compare([&](Emitter& e) { downwards(e, 8, store_first); },
                    registers({{kRsi, start}, {kRbx, kData + 100}, {kRbp, 1000}}));
        }
    }
}

// Flags whose recipe is the result and the other operand; 16 is what was read, then faults.
TEST_F(Loops, FlagsAreMadeAgainForAFault) {
    using Setter = void (*)(Emitter&);
    const Setter setters[] = {
        [](Emitter& e) { e.alu(Alu::kAdd, kHostRdx, kHostRdi); },
        [](Emitter& e) { e.alu(Alu::kSub, kHostRdx, kHostRdi, false); },
        [](Emitter& e) { e.alu(Alu::kAnd, kHostRdx, kHostRdi); },
        [](Emitter& e) { e.alu(Alu::kCmp, kHostR10, kHostRdi); },
        [](Emitter& e) { e.alu_imm(Alu::kAdd, kHostRdx, 0x7fffffff, false); },
        [](Emitter& e) { e.alu_imm(Alu::kSub, kHostR11, -1); },
        [](Emitter& e) { e.alu_imm(Alu::kXor, kHostRdx, 0x55); },
        [](Emitter& e) { e.test(kHostRdx, kHostR15); },
        [](Emitter& e) { e.alu(Alu::kAdd, kHostRdx, kHostRdx); },
        [](Emitter& e) {  // NEG
            e.rex(true, 0, 0, kHostRdx);
            e.byte(0xf7);
            e.modrm_reg(3, kHostRdx);
        }};
    const uint64_t values[] = {0, 1, 0x7fffffff, 0x80000000, 0x8000000000000000, ~uint64_t{0}, 0x1234};
    for (const Setter set : setters) {
        for (const uint64_t a : values) {
            for (const uint64_t b : values) {
                compare(
                    [&](Emitter& e) {
                        set(e);
                        e.load(kHostRax, {.base = kHostRbx});
                        e.load(kHostRdi, {.base = kHostRbx, .disp = 8});  // an operand changes
                        e.load(kHostRax, {.base = kHostRsi});             // faults
                        SampleGuest::hlt(e);
                    },
                    registers({{kRdx, a}, {kRdi, b}, {kR10, a}, {kR11, b}, {kR15, b},
                               {kRbx, kData}, {kRsi, ~uint64_t{0} - 4096}}));
            }
        }
    }
}

// Vectors across a page's end, whose halves lie apart or not.
TEST_F(Loops, UnalignedVectorsAcrossPages) {
    const auto copy = [](Emitter& e) {
        Label top;
        e.bind(top);
        for (const unsigned opcode : {0x6fu, 0x7fu}) {  // MOVDQU
            e.byte(0xf3);
            e.byte(0x0f);
            e.byte(opcode);
            e.modrm_mem(0, {.base = opcode == 0x6f ? kHostRsi : kHostRdi});
        }
        e.alu_imm(Alu::kAdd, kHostRsi, 16);
        e.alu_imm(Alu::kAdd, kHostRdi, 16);
        e.alu_imm(Alu::kSub, kHostRcx, 1);
        e.jcc(Condition::kNz, top);
        SampleGuest::hlt(e);
    };
    for (uint64_t offset = 4000; offset < 4040; ++offset) {
        compare(copy,
                registers({{kRsi, kData + offset}, {kRdi, kData + 8192 - offset % 48}, {kRcx, 20}}));
    }
}

}  // namespace
}  // namespace mynah::translator
