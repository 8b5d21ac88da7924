// Ends of interrupts by a flag of the guest's beside those by the register: what is in service
// stays right, and nothing that waits is left behind.

#include <atomic>
#include <random>
#include <thread>

#include "device/interrupt/local_apic_fixture_test.h"

namespace mynah::testing {
namespace {

class Flag final : public SilentEoi {
  public:
    bool offer() override {
        if (!there) return false;
        set = true;
        return true;
    }
    bool withdraw() override {
        const bool ended = !set;
        set = false;
        return ended;
    }
    // The guest: clears it, if it is set. False: it must write the register.
    bool end() { return std::exchange(set, false); }

    bool there = true, set = false;
};

class SilentEoiTest : public LocalApicTest {
  protected:
    SilentEoiTest() {
        apics[0]->connect(flag);
        enable_all();
    }
    uint32_t in_service(uint8_t vector) {
        const auto reg =
            static_cast<Register>(static_cast<unsigned>(Register::kIsr0) + vector / 32);
        return read(0, reg) >> vector % 32 & 1;
    }
    // As a guest's handler does.
    void end() {
        if (!flag.end()) write(0, Register::kEoi, 0);
    }
    Flag flag;
};

TEST_F(SilentEoiTest, EndsTheInterrupt) {
    send(0, 0x41);
    EXPECT_EQ(take(0), 0x41);
    ASSERT_TRUE(flag.set);
    EXPECT_TRUE(flag.end());
    EXPECT_EQ(in_service(0x41), 0u);
    EXPECT_EQ(read(0, Register::kPpr), 0u);
    EXPECT_EQ(take(0), -1);
}

TEST_F(SilentEoiTest, ALookAtWhatIsInServiceTakesItBack) {
    send(0, 0x41);
    EXPECT_EQ(take(0), 0x41);
    EXPECT_EQ(in_service(0x41), 1u);
    EXPECT_FALSE(flag.set);
    EXPECT_EQ(read(0, Register::kPpr), 0x40u);
    end();  // by the register
    EXPECT_EQ(in_service(0x41), 0u);
}

TEST_F(SilentEoiTest, TheRegisterEndsItAsWell) {
    send(0, 0x41);
    EXPECT_EQ(take(0), 0x41);
    write(0, Register::kEoi, 0);
    EXPECT_FALSE(flag.set) << "or the next interrupt's end would be lost";
    EXPECT_EQ(in_service(0x41), 0u);
}

TEST_F(SilentEoiTest, WhatComesMeanwhileIsNotLeftBehind) {
    send(0, 0x41);
    EXPECT_EQ(take(0), 0x41);
    EXPECT_FALSE(pending(0));
    EXPECT_TRUE(flag.end());
    send(0, 0x31);  // lower than what the APIC still believes in service
    EXPECT_TRUE(pending(0));
    EXPECT_EQ(take(0), 0x31);
    end();
    EXPECT_EQ(in_service(0x31), 0u);
}

TEST_F(SilentEoiTest, WhatComesBeforeTheEndWaitsForIt) {
    send(0, 0x41);
    EXPECT_EQ(take(0), 0x41);
    send(0, 0x42);
    EXPECT_TRUE(pending(0));
    EXPECT_EQ(take(0), -1);  // the same class; the offer is withdrawn
    EXPECT_FALSE(pending(0));
    EXPECT_FALSE(flag.set);
    end();
    EXPECT_TRUE(pending(0));
    EXPECT_EQ(take(0), 0x42);
    EXPECT_TRUE(flag.set);
}

TEST_F(SilentEoiTest, NotWhileAnotherWaits) {
    send(0, 0x41);
    send(0, 0x51);
    EXPECT_EQ(take(0), 0x51);
    EXPECT_FALSE(flag.set);
    end();
    EXPECT_EQ(take(0), 0x41);
    EXPECT_TRUE(flag.set);
}

TEST_F(SilentEoiTest, NestedOnesEndByTheRegister) {
    send(0, 0x41);
    EXPECT_EQ(take(0), 0x41);
    send(0, 0x61);
    EXPECT_EQ(take(0), 0x61);
    EXPECT_FALSE(flag.set);
    end();
    EXPECT_EQ(in_service(0x61), 0u);
    EXPECT_EQ(in_service(0x41), 1u);
    end();
    EXPECT_EQ(in_service(0x41), 0u);
}

TEST_F(SilentEoiTest, LevelTriggeredOnesTellTheIoApic) {
    ApicMessage message;
    message.vector = 0x41;
    message.level_triggered = true;
    bus.deliver(message);
    EXPECT_EQ(take(0), 0x41);
    EXPECT_FALSE(flag.set);
}

TEST_F(SilentEoiTest, TaskPriorityCountsWhatIsReallyInService) {
    send(0, 0x41);
    EXPECT_EQ(take(0), 0x41);
    EXPECT_TRUE(flag.end());
    write(0, Register::kTpr, 0x30);
    EXPECT_EQ(read(0, Register::kPpr), 0x30u);
    send(0, 0x35);
    EXPECT_FALSE(pending(0));
    write(0, Register::kTpr, 0);
    EXPECT_EQ(take(0), 0x35);
}

TEST_F(SilentEoiTest, AHaltedProcessorIsWokenByWhatItTakesOnly) {
    send(0, 0x41);
    EXPECT_EQ(take(0), 0x41);
    send(0, 0x31);
    EXPECT_TRUE(pending(0)) << "the guest may have ended it";
    apics[0]->settle();  // the processor halts within its handler
    EXPECT_FALSE(pending(0));
}

TEST_F(SilentEoiTest, InitAndResetForgetTheOffer) {
    send(0, 0x41);
    EXPECT_EQ(take(0), 0x41);
    flag.end();
    apics[0]->init();
    enable_all();
    EXPECT_EQ(in_service(0x41), 0u);
    send(0, 0x41);
    EXPECT_EQ(take(0), 0x41);
    EXPECT_TRUE(flag.set);
}

TEST_F(SilentEoiTest, AGuestWithoutAFlag) {
    flag.there = false;
    send(0, 0x41);
    EXPECT_EQ(take(0), 0x41);
    EXPECT_FALSE(flag.set);
    end();
    EXPECT_EQ(in_service(0x41), 0u);
}

// Senders on other threads against a processor that takes and ends as a guest does, in every order:
// all that was sent is taken.
TEST_F(SilentEoiTest, SendersRace) {
    constexpr unsigned kSenders = 3, kRounds = 20000;
    std::atomic<unsigned> sent[kSenders]{}, taken[kSenders]{};
    std::vector<std::thread> senders;
    for (unsigned i = 0; i < kSenders; ++i) {
        senders.emplace_back([&, i] {
            for (unsigned round = 0; round < kRounds; ++round) {
                sent[i] = round + 1;
                send(0, static_cast<uint8_t>(0x31 + 0x10 * i));
                while (taken[i] != round + 1) std::this_thread::yield();
            }
        });
    }
    std::minstd_rand random(1);
    std::vector<uint8_t> stack;
    const auto done = [&] {
        for (const auto& count : taken)
            if (count != kRounds) return false;
        return true;
    };
    while (!done()) {
        if (pending(0)) {
            if (const int vector = take(0); vector >= 0) {
                stack.push_back(static_cast<uint8_t>(vector));
                ++taken[(vector >> 4) - 3];
            }
        } else if (stack.empty()) {
            std::this_thread::yield();
        }
        if (!stack.empty() && random() % 3 != 0) {
            end();
            stack.pop_back();
        }
    }
    for (auto& sender : senders) sender.join();
    while (!stack.empty()) {
        end();
        stack.pop_back();
    }
    EXPECT_EQ(read(0, Register::kPpr), 0u);
}

}  // namespace
}  // namespace mynah::testing
