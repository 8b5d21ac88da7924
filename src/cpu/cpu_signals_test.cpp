#include "cpu/cpu_signals.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace mynah {
namespace {

constexpr uintptr_t kOpen = 1, kClosed = 2;

TEST(CpuSignals, WakesOnceForEverySignalThatIsNew) {
    CpuSignals signals;
    unsigned woken = 0;
    signals.set_wake([&woken] { ++woken; });
    signals.raise(CpuSignals::kNmi);
    signals.raise(CpuSignals::kNmi);
    EXPECT_EQ(woken, 1u);
    signals.raise(CpuSignals::kNmi | CpuSignals::kKick);
    EXPECT_EQ(woken, 2u);
    signals.lower(CpuSignals::kNmi);
    EXPECT_EQ(signals.pending(), CpuSignals::kKick);
    signals.raise(CpuSignals::kNmi);
    EXPECT_EQ(woken, 3u);
}

TEST(CpuSignals, AnAlarmClosesTheGateAndIsTakenOnce) {
    CpuSignals signals;
    std::atomic<uintptr_t> gate{kOpen};
    signals.alarm();  // nobody has a gate: nothing happens
    EXPECT_FALSE(signals.alarmed());
    signals.set_gate(gate, kClosed);
    signals.alarm();
    EXPECT_EQ(gate, kClosed);
    EXPECT_TRUE(signals.alarmed());
    EXPECT_TRUE(signals.take_alarm());
    EXPECT_FALSE(signals.take_alarm());
    signals.raise(CpuSignals::kInterrupt);
    EXPECT_TRUE(signals.alarmed());
}

// An engine goes while others raise: its gate is not touched any more from clear_gate() on, and what
// was raised stays pending for the engine that comes.
TEST(CpuSignals, TheGateIsExchangedWhileOthersRaise) {
    CpuSignals signals;
    std::atomic<bool> done{false};
    std::vector<std::thread> raisers;
    for (const uint32_t signal : {CpuSignals::kInterrupt, CpuSignals::kNmi}) {
        raisers.emplace_back([&signals, &done, signal] {
            while (!done) signals.raise(signal);
        });
    }
    for (unsigned round = 0; round < 2000; ++round) {
        // As if unmapped with its engine: ASan and the checks below see who comes too late.
        auto gate = std::make_unique<std::atomic<uintptr_t>>(kOpen);
        auto interrupts = std::make_unique<std::atomic<unsigned>>(0);
        signals.set_gate(*gate, kClosed, [counter = interrupts.get()] { ++*counter; });
        while (gate->load() == kOpen) std::this_thread::yield();
        signals.clear_gate();
        gate->store(kOpen);
        const unsigned seen = *interrupts;
        std::this_thread::yield();
        ASSERT_EQ(gate->load(), kOpen);
        ASSERT_EQ(interrupts->load(), seen);
    }
    done = true;
    for (std::thread& raiser : raisers) raiser.join();
    EXPECT_EQ(signals.pending(), CpuSignals::kInterrupt | CpuSignals::kNmi);
}

// The handshake between code that only looks at the gate and those who alarm it: the engine opens
// the gate first and asks then, so an alarm is either asked for in time or closes the gate again.
// Whatever is raised is seen soon; a lost one would hang here.
TEST(CpuSignals, NoAlarmIsLost) {
    CpuSignals signals;
    std::atomic<uintptr_t> gate{kClosed};
    signals.set_gate(gate, kClosed);
    constexpr unsigned kThreads = 2, kRounds = 20'000;
    std::atomic<unsigned> posted[kThreads] = {}, seen[kThreads] = {};
    std::vector<std::thread> raisers;
    for (unsigned t = 0; t < kThreads; ++t) {
        raisers.emplace_back([&, t] {
            for (unsigned i = 1; i <= kRounds; ++i) {
                posted[t].store(i);
                signals.raise(CpuSignals::kInterrupt);
                while (seen[t].load() < i) std::this_thread::yield();
            }
        });
    }
    const auto all_seen = [&] {
        for (const auto& each : seen) {
            if (each.load() < kRounds) return false;
        }
        return true;
    };
    while (!all_seen()) {
        // As the translator's run loop does it.
        gate.exchange(kOpen);
        if (signals.take_alarm()) {
            for (unsigned t = 0; t < kThreads; ++t) seen[t].store(posted[t].load());
            continue;
        }
        while (gate.load(std::memory_order_relaxed) == kOpen && !all_seen())
            std::this_thread::yield();
    }
    for (std::thread& raiser : raisers) raiser.join();
}

}  // namespace
}  // namespace mynah
