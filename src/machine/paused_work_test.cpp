#include "machine/paused_work.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "machine/run_control.h"

namespace mynah {
namespace {

TEST(PausedWorkTest, EveryRequestIsDoneInAPauseOfItsOwn) {
    RunControl control;
    PausedWork work;
    constexpr int kThreads = 3, kRounds = 300;
    std::atomic<bool> paused{false};
    std::atomic<int> done{0}, finished{0};
    std::thread vcpu([&] {
        while (control.proceed()) {
            EXPECT_FALSE(paused);
            std::this_thread::yield();
        }
    });
    std::vector<std::thread> askers;
    for (int i = 0; i < kThreads; ++i) {
        askers.emplace_back([&] {
            for (int round = 0; round < kRounds; ++round) {
                const auto result = work.run(
                    [&]() -> Result<void> {
                        EXPECT_TRUE(paused);
                        ++done;
                        if (round % 2 == 1) return Error("odd");
                        return {};
                    },
                    [&] { control.request_pause(); });
                EXPECT_EQ(result.ok(), round % 2 == 0);
            }
            if (++finished == kThreads) control.request_stop(StopReason::kQuit);
        });
    }
    while (control.wait(1, std::nullopt) == RunControl::Event::kPaused) {
        paused = true;
        work.perform();
        paused = false;
        control.resume(RunControl::Event::kPaused);
    }
    work.close();
    for (std::thread& asker : askers) asker.join();
    vcpu.join();
    EXPECT_EQ(done, kThreads * kRounds);
}

TEST(PausedWorkTest, NothingWaitsForAMachineThatHasEnded) {
    PausedWork work;
    std::atomic<bool> asked{false};
    std::thread asker([&] {
        const auto result = work.run([]() -> Result<void> { return {}; }, [&] { asked = true; });
        EXPECT_FALSE(result.ok());
    });
    while (!asked) std::this_thread::yield();
    work.close();
    asker.join();
    EXPECT_FALSE(work.run([]() -> Result<void> { return {}; }, [] {}).ok());
}

}  // namespace
}  // namespace mynah
