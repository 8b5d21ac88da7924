#include "host/run_delay.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace mynah {
namespace {

void pin_to(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    ASSERT_EQ(sched_setaffinity(0, sizeof set, &set), 0);
}

// Two threads that compute on one of the host's processors: each waits for the other, and nobody
// else is needed for that.
TEST(RunDelay, GrowsWhileAnotherThreadRuns) {
    if (!RunDelay::available()) GTEST_SKIP() << "the host does not count it";
    const int cpu = sched_getcpu();
    std::atomic<bool> stop = false;
    std::thread other([&] {
        pin_to(cpu);
        while (!stop) {
        }
    });
    std::thread measured([&] {
        pin_to(cpu);
        const RunDelay delay(gettid());
        const auto before = delay.read_ns();
        ASSERT_TRUE(before);
        uint64_t now = *before;
        while (now < *before + 1'000'000) {
            const auto again = delay.read_ns();
            ASSERT_TRUE(again);
            ASSERT_GE(*again, now);
            now = *again;
        }
    });
    measured.join();
    stop = true;
    other.join();
}

TEST(RunDelay, IsThatOfTheThreadThatWasNamed) {
    if (!RunDelay::available()) GTEST_SKIP() << "the host does not count it";
    std::atomic<pid_t> thread = 0;
    std::atomic<bool> stop = false;
    std::thread other([&] {
        thread = gettid();
        thread.notify_all();
        stop.wait(false);
    });
    thread.wait(0);
    const RunDelay delay(thread);
    EXPECT_TRUE(delay.read_ns());
    stop = true;
    stop.notify_all();
    other.join();
    EXPECT_FALSE(delay.read_ns()) << "it is gone";
    EXPECT_FALSE(RunDelay(0).read_ns());
}

}  // namespace
}  // namespace mynah
