#include "machine/event_story.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spec/x86/control_registers.h"
#include "spec/x86/segment.h"

namespace mynah {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kCode = 0x1000;

class EventStory : public ::testing::Test {
  protected:
    EventStory() {
        state_.cr0 = x86::cr0::kPe;
        state_.segment(x86::Segment::kCs) = {0, 0xffffffff, 0xc09b, 8};
    }
    void code(uint64_t at, std::initializer_list<uint8_t> bytes) {
        for (const uint8_t byte : bytes) {
            const std::byte one{byte};
            ASSERT_TRUE(memory_->write(GuestPhys(at++), std::span(&one, 1)));
        }
    }
    std::string text(uint64_t rip) {
        state_.rip = rip;
        Mmu mmu(*memory_, 40);
        return format_trail(0, state_, trail_, *memory_, mmu);
    }
    void enter(uint64_t linear, bool linked = false) { trail_.pieces.next() = {linear, 32, linked}; }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys(0), 1 << 20};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    CpuState state_ = reset_state();
    EventTrail trail_;
};

TEST_F(EventStory, ThePieceBeforeRip) {
    code(kCode, {0x40, 0x41, 0x0f, 0x0b});  // inc eax; inc ecx; ud2
    enter(kCode);
    trail_.note(Exception::ud(), kCode + 2, kCode + 2);
    trail_.note(Exception::gp(0x33), kCode + 2, kCode + 2);
    trail_.note(Exception::with_code(x86::Vector::kDf, 0), kCode + 2, kCode + 2);
    const std::string said = text(kCode + 2);
    EXPECT_THAT(said, HasSubstr("vcpu 0: #UD at rip 0000000000001002 -> #GP(0x33) -> #DF(0x0) -> "
                                "shutdown\n"));
    EXPECT_THAT(said, HasSubstr("inc eax"));
    EXPECT_THAT(said, HasSubstr("inc ecx"));
    EXPECT_THAT(said, Not(HasSubstr("ud2")));
    EXPECT_THAT(said, Not(HasSubstr("...")));
}

// An exception whose handler ran, which then met one that could not be delivered.
TEST_F(EventStory, PiecesEndWhereExceptionsTookTheProcessorOut) {
    code(kCode, {0x40, 0x90, 0x41});         // inc eax; nop (faults); inc ecx
    code(kCode + 0x100, {0x42, 0x0f, 0x0b});  // the handler: inc edx; ud2
    enter(kCode);
    trail_.note(Exception::pf(0x5000, 2), kCode + 1, kCode + 1);
    trail_.events.newest().delivered = true;
    enter(kCode + 0x100);
    trail_.note(Exception::ud(), kCode + 0x101, kCode + 0x101);
    const std::string said = text(kCode + 0x101);
    EXPECT_THAT(said, HasSubstr("vcpu 0: #UD at rip 0000000000001101 -> shutdown\n"));
    EXPECT_THAT(said, HasSubstr("had before\n  #PF(0x2) at rip 0000000000001001, address "
                                "0000000000005000\n"));
    EXPECT_THAT(said, HasSubstr("inc eax"));
    EXPECT_THAT(said, HasSubstr("inc edx"));
    EXPECT_THAT(said, Not(HasSubstr("inc ecx"))) << "it never ran";
}

// Linked code goes on elsewhere behind its branch: what ran there is not known.
TEST_F(EventStory, GapsAreShown) {
    code(kCode, {0x40, 0xeb, 0x10});  // inc eax; jmp
    enter(kCode, true);
    EXPECT_THAT(text(kCode + 0x500), HasSubstr("inc eax"));
    EXPECT_THAT(text(kCode + 0x500), HasSubstr("  ...\n"));
    trail_ = {};
    enter(kCode);
    enter(kCode + 0x13);
    EXPECT_THAT(text(kCode + 0x13), Not(HasSubstr("...")));
    trail_ = {};
    enter(0xfffff000);  // nothing is there
    EXPECT_THAT(text(kCode), HasSubstr("  ...\n"));
}

TEST_F(EventStory, OnlyTheLastAreKept) {
    EXPECT_EQ(text(kCode), "");
    for (unsigned i = 0; i < 100; ++i) {
        trail_.events.next() = {.rip = i, .vector = 0x20, .external = true, .delivered = true};
        enter(kCode);
    }
    const std::string said = text(kCode);
    EXPECT_THAT(said, HasSubstr("interrupt 0x20 at rip 0000000000000063\n"));
    EXPECT_THAT(said, HasSubstr("rip 0000000000000054\n"));
    EXPECT_THAT(said, Not(HasSubstr("rip 0000000000000053\n")));
}

}  // namespace
}  // namespace mynah
