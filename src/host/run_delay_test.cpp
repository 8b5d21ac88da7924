#include "host/run_delay.h"

#include <gtest/gtest.h>
#include <sched.h>

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
    if (!RunDelay::available()) GTEST_SKIP() << "no /proc/thread-self/schedstat";
    const int cpu = sched_getcpu();
    std::atomic<bool> stop = false;
    std::thread other([&] {
        pin_to(cpu);
        while (!stop) {
        }
    });
    std::thread measured([&] {
        pin_to(cpu);
        RunDelay delay;
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

}  // namespace
}  // namespace mynah
