// The translator as its user sees it: a Vcpu that must do what the interpreter does.

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <thread>

#include "engine/translator/sample_guest_test.h"
#include "memory/dma_view.h"

namespace mynah::translator {
namespace {

constexpr HostMem kAtRbx{.base = kHostRbx};

// RCX rounds of: RDX += 1; ends with HLT.
void counting_loop(Emitter& e) {
    Label top;
    e.bind(top);
    e.alu_imm(Alu::kAdd, kHostRdx, 1);
    e.alu_imm(Alu::kSub, kHostRcx, 1);
    e.jcc(Condition::kNz, top);
    SampleGuest::hlt(e);
}

TEST(Translator, RunsALoopWithoutComingBackEveryTime) {
    SampleGuest guest;
    guest.write(SampleGuest::kCode, counting_loop);
    guest.state().gpr[kRcx] = 100'000;
    EXPECT_EQ(guest.run(), VcpuExit::kHalted);
    EXPECT_EQ(guest.gpr(kRdx), 100'000u);
    EXPECT_GT(guest.counter("blocks translated"), 0u);
    EXPECT_GT(guest.counter("links made"), 0u);
    EXPECT_LT(guest.counter("entries into translated code"), 100u);
}

TEST(Translator, WithALimitItCountsInstructions) {
    SampleGuest guest;
    guest.write(SampleGuest::kCode, counting_loop);
    guest.state().gpr[kRcx] = 1u << 30;
    guest.state().rip = SampleGuest::kCode;
    for (unsigned i = 1; i <= 5; ++i) {
        EXPECT_EQ(guest.vcpu().run(3000), VcpuExit::kInstructionLimit);
        const uint64_t done = guest.vcpu().statistics().instructions;
        EXPECT_GE(done, i * 3000);
        EXPECT_LE(done, i * 3050);
        // Three instructions a round, and the state is that after so many.
        EXPECT_EQ(guest.gpr(kRdx), (done + 2) / 3);
    }
}

TEST(Translator, ComesOutOfALoopForASignal) {
    SampleGuest guest;
    guest.write(SampleGuest::kCode, counting_loop);
    guest.state().gpr[kRcx] = ~uint64_t{0};
    std::thread other([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        guest.signals().raise(CpuSignals::kKick);
    });
    EXPECT_EQ(guest.run(), VcpuExit::kKicked);
    other.join();
    // At an instruction boundary.
    EXPECT_EQ(guest.gpr(kRdx) + guest.gpr(kRcx) + 1, guest.state().rip == SampleGuest::kCode + 4
                                                         ? 1u
                                                         : 0u);
}

TEST(Translator, LinksAreUndoneWhenTheTargetIsWrittenTo) {
    SampleGuest guest;
    constexpr uint64_t kOther = SampleGuest::kCode + 0x5000;
    // Two blocks that jump to each other, on two pages.
    guest.write(SampleGuest::kCode, [](Emitter& e) {
        e.alu_imm(Alu::kSub, kHostRcx, 1);
        Label out;
        e.jcc(Condition::kZ, out);
        e.jmp_to(reinterpret_cast<const std::byte*>(kOther));
        e.bind(out);
        SampleGuest::hlt(e);
    });
    const auto other = [&](int32_t step) {
        guest.write(kOther, [step](Emitter& e) {
            e.alu_imm(Alu::kAdd, kHostRdx, step);
            e.jmp_to(reinterpret_cast<const std::byte*>(SampleGuest::kCode));
        });
    };
    uint64_t expected = 0;
    for (int32_t step = 1; step <= 6; ++step) {
        other(step);  // through GuestMemory, as a device would
        guest.state().gpr[kRcx] = 101;
        ASSERT_EQ(guest.run(), VcpuExit::kHalted);
        expected += static_cast<uint64_t>(step) * 100;
        EXPECT_EQ(guest.gpr(kRdx), expected);
    }
}

TEST(Translator, IndirectJumpsFindWhatIsThereNow) {
    SampleGuest guest;
    constexpr uint64_t kTarget = SampleGuest::kCode + 0x3000;
    guest.write(SampleGuest::kCode, [](Emitter& e) {
        Label top;
        e.bind(top);
        e.call_reg(kHostRsi);
        e.alu_imm(Alu::kSub, kHostRcx, 1);
        e.jcc(Condition::kNz, top);
        SampleGuest::hlt(e);
    });
    uint64_t expected = 0;
    for (int32_t step = 1; step <= 4; ++step) {
        guest.write(kTarget, [step](Emitter& e) {
            e.alu_imm(Alu::kAdd, kHostRdx, step);
            e.ret();
        });
        guest.state().gpr[kRsi] = kTarget;
        guest.state().gpr[kRcx] = 1000;
        ASSERT_EQ(guest.run(), VcpuExit::kHalted);
        expected += 1000u * static_cast<unsigned>(step);
        EXPECT_EQ(guest.gpr(kRdx), expected);
        EXPECT_EQ(guest.gpr(kRsp), SampleGuest::kStack);
    }
}

// A loop that rewrites an instruction of its own block, and one of the block it runs next.
TEST(Translator, CodeMayChangeItself) {
    SampleGuest guest;
    uint32_t own = 0, next = 0;
    guest.write(SampleGuest::kCode, [&](Emitter& e) {
        Label top, second;
        e.bind(top);
        e.store({.disp = 0}, kHostRcx, false);  // patched below: the immediate of the next one
        const uint32_t store_own = e.offset() - 4;
        e.store({.disp = 0}, kHostRcx, false);
        const uint32_t store_next = e.offset() - 4;
        e.alu_imm(Alu::kAdd, kHostRdx, 0x11111111);
        own = e.offset() - 4;
        e.jmp(second);
        for (unsigned i = 0; i < 64; ++i) e.byte(0xcc);
        e.bind(second);
        e.alu_imm(Alu::kAdd, kHostRsi, 0x22222222);
        next = e.offset() - 4;
        e.alu_imm(Alu::kSub, kHostRcx, 1);
        e.jcc(Condition::kNz, top);
        SampleGuest::hlt(e);
        e.patch_dword(store_own, static_cast<uint32_t>(SampleGuest::kCode) + own);
        e.patch_dword(store_next, static_cast<uint32_t>(SampleGuest::kCode) + next);
    });
    guest.state().gpr[kRcx] = 100;
    ASSERT_EQ(guest.run(), VcpuExit::kHalted);
    EXPECT_EQ(guest.gpr(kRdx), 5050u);
    EXPECT_EQ(guest.gpr(kRsi), 5050u);
}

TEST(Translator, DevicesMayChangeCode) {
    SampleGuest guest;
    DmaView dma(guest.memory());
    guest.write(SampleGuest::kCode, [](Emitter& e) {
        e.mov_imm(kHostRax, 1);
        SampleGuest::hlt(e);
    });
    for (uint32_t i = 1; i < 40; ++i) {
        ASSERT_TRUE(dma.store(GuestPhys(SampleGuest::kCode + 1), i));
        ASSERT_EQ(guest.run(), VcpuExit::kHalted);
        ASSERT_EQ(guest.gpr(kRax), i);
    }
}

// More code than fits: it is forgotten and made again, and is right all the time.
TEST(Translator, CodeMayBeLargerThanItsCache) {
    constexpr unsigned kBlocks = 20'000, kBytes = 16;
    SampleGuest guest(TranslatorOptions{.code_cache = 1u << 20, .hot_after = 0});
    for (unsigned i = 0; i < kBlocks; ++i) {
        const uint64_t at = SampleGuest::kData + uint64_t{i} * kBytes;
        guest.write(at, [&](Emitter& e) {
            e.alu_imm(Alu::kAdd, kHostRdx, static_cast<int32_t>(i));
            if (i + 1 == kBlocks) {
                SampleGuest::hlt(e);
            } else {
                e.jmp_to(reinterpret_cast<const std::byte*>(at + kBytes));
            }
        });
    }
    uint64_t sum = uint64_t{kBlocks} * (kBlocks - 1) / 2;
    for (uint64_t round = 1; round <= 2; ++round) {
        ASSERT_EQ(guest.run(SampleGuest::kData), VcpuExit::kHalted);
        EXPECT_EQ(guest.gpr(kRdx), round * sum);
    }
    EXPECT_GE(guest.counter("code cache flushes"), 2u);
    EXPECT_GE(guest.counter("blocks translated"), kBlocks);
}

TEST(Translator, ColdCodeIsNotTranslated) {
    SampleGuest guest(TranslatorOptions{.hot_after = 16});
    guest.write(SampleGuest::kCode, counting_loop);
    guest.state().gpr[kRcx] = 10;
    ASSERT_EQ(guest.run(), VcpuExit::kHalted);
    EXPECT_EQ(guest.counter("blocks translated"), 0u);
    guest.state().gpr[kRcx] = 100;
    ASSERT_EQ(guest.run(), VcpuExit::kHalted);
    EXPECT_GT(guest.counter("blocks translated"), 0u);
    EXPECT_EQ(guest.gpr(kRdx), 110u);
}

// After a CR3 load, which empties the TLB, code is found again and not made again.
TEST(Translator, BlocksOutliveTheTlb) {
    SampleGuest guest;
    guest.write(SampleGuest::kCode, [](Emitter& e) {
        Label top;
        e.bind(top);
        e.byte(0x0f);  // MOV CR3, RSI
        e.byte(0x22);
        e.byte(0xde);
        e.alu_imm(Alu::kAdd, kHostRdx, 1);
        e.alu_imm(Alu::kSub, kHostRcx, 1);
        e.jcc(Condition::kNz, top);
        SampleGuest::hlt(e);
    });
    guest.state().gpr[kRsi] = SampleGuest::kTables;
    guest.state().gpr[kRcx] = 1000;
    ASSERT_EQ(guest.run(), VcpuExit::kHalted);
    EXPECT_EQ(guest.gpr(kRdx), 1000u);
    EXPECT_LT(guest.counter("blocks translated"), 20u);
}

TEST(Translator, CountsWhatItHandsToTheInterpreter) {
    SampleGuest guest;
    guest.write(SampleGuest::kCode, [](Emitter& e) {
        Label top;
        e.bind(top);
        e.byte(0x0f);  // CPUID
        e.byte(0xa2);
        e.mov_imm(kHostRax, 0);
        e.alu_imm(Alu::kSub, kHostRsi, 1);
        e.jcc(Condition::kNz, top);
        SampleGuest::hlt(e);
    });
    guest.state().gpr[kRsi] = 50;
    ASSERT_EQ(guest.run(), VcpuExit::kHalted);
    EXPECT_EQ(guest.counter("handled: cpuid"), 50u);
}

// Arithmetic with memory accesses in between, which clobber the host's flags, and every condition:
// the same on both engines, from any flags, with any operands.
TEST(Translator, FlagsSurviveWhatLiesBetween) {
    const auto program = [](unsigned seed) {
        return [seed](Emitter& e) {
            std::mt19937 random(seed);
            constexpr HostReg kWorked[] = {kHostRax, kHostRdx, kHostRsi, kHostRdi,
                                           kHostR8,  kHostR10, kHostR12, kHostR15};
            const auto reg = [&] { return kWorked[random() % std::size(kWorked)]; };
            for (unsigned i = 0; i < 60; ++i) {
                const HostMem mem{.base = kHostRbx, .disp = static_cast<int32_t>(random() % 4088)};
                const auto condition = static_cast<unsigned>(random() % 16);
                switch (random() % 9) {
                    case 0: e.alu(static_cast<Alu>(random() % 8), reg(), reg()); break;
                    case 1: e.alu(static_cast<Alu>(random() % 8), reg(), mem); break;
                    case 2: e.store(mem, reg()); break;
                    case 3: e.push(reg()); break;
                    case 4: e.pop(reg()); break;
                    case 5: {  // SETcc into memory
                        e.rex_mem(false, 0, mem);
                        e.byte(0x0f);
                        e.byte(0x90 + condition);
                        e.modrm_mem(0, mem);
                        break;
                    }
                    case 6: {
                        Label over;
                        e.jcc(static_cast<Condition>(condition), over);
                        e.lea(kHostR9, {.base = kHostR9, .disp = 1});
                        e.bind(over);
                        break;
                    }
                    case 7: {  // LOOP over what overwrites the flags, which compared its counter
                        e.alu(Alu::kCmp, reg(), kHostRcx);
                        e.store(mem, reg());
                        e.byte(0xe2);
                        e.byte(3);
                        const size_t behind = e.offset() + 3;
                        e.alu(Alu::kSub, reg(), reg());
                        ASSERT_EQ(e.offset(), behind);
                        break;
                    }
                    default: e.shift_right(reg(), static_cast<uint8_t>(1)); break;
                }
            }
            SampleGuest::hlt(e);
        };
    };
    SampleGuest reference([](GuestMemory& memory, const CpuidPolicy& cpuid) {
        return make_interpreter(memory, cpuid);
    });
    SampleGuest guest;
    for (unsigned seed = 0; seed < 300; ++seed) {
        const uint64_t at = SampleGuest::kCode + (seed % 64) * 0x1000;
        for (SampleGuest* each : {&reference, &guest}) {
            each->reset();
            each->write(at, program(seed));
            std::mt19937_64 random(seed);
            for (unsigned i = 0; i < 16; ++i) {
                if (i != kRsp) each->state().gpr[i] = random();
            }
            each->state().gpr[kRbx] = SampleGuest::kData;
            each->state().flags.set(random() & x86::rflags::kArithmetic);
            ASSERT_EQ(each->run(at), VcpuExit::kHalted);
        }
        for (unsigned i = 0; i < 16; ++i) {
            ASSERT_EQ(guest.state().gpr[i], reference.state().gpr[i]) << seed << ": " << i;
        }
        ASSERT_EQ(guest.state().flags.value(), reference.state().flags.value()) << seed;
        std::array<std::byte, 4096> mine, theirs;
        ASSERT_TRUE(guest.memory().read(GuestPhys(SampleGuest::kData), mine));
        ASSERT_TRUE(reference.memory().read(GuestPhys(SampleGuest::kData), theirs));
        ASSERT_EQ(mine, theirs) << seed;
    }
}

// An access that faults in the middle of a block: everything before it is done, nothing behind it.
TEST(Translator, FaultsArePrecise) {
    SampleGuest guest;
    guest.write(SampleGuest::kCode, [](Emitter& e) {
        e.alu_imm(Alu::kAdd, kHostRdx, 1);
        e.store(kAtRbx, kHostRdx);
        e.alu_imm(Alu::kAdd, kHostRdx, 1);
        e.load(kHostRax, {.base = kHostRsi});  // where there is nothing
        e.alu_imm(Alu::kAdd, kHostRdx, 1);
        SampleGuest::hlt(e);
    });
    constexpr uint64_t kUnmapped = uint64_t{2} << 30;
    for (unsigned i = 0; i < 3; ++i) {
        guest.reset();
        guest.state().gpr[kRbx] = SampleGuest::kData;
        guest.state().gpr[kRsi] = kUnmapped;
        // No IDT: the fault ends the processor.
        EXPECT_EQ(guest.run(), VcpuExit::kShutdown);
        EXPECT_EQ(guest.gpr(kRdx), 2u);
        EXPECT_EQ(guest.gpr(kRax), 0u);
        EXPECT_EQ(guest.state().cr2, kUnmapped);
        EXPECT_EQ(guest.memory().load<uint64_t>(GuestPhys(SampleGuest::kData)), 1u);
    }
}

}  // namespace
}  // namespace mynah::translator
