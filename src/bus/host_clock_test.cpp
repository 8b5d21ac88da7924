#include "bus/host_clock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace mynah {
namespace {

constexpr uint64_t kMs = 1'000'000;

void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

// Waits up to ten seconds: these tests run on loaded hosts.
template <typename Condition>
bool eventually(Condition condition) {
    for (int i = 0; i < 10000; ++i) {
        if (condition()) return true;
        sleep_ms(1);
    }
    return false;
}

TEST(HostClock, FiresOnceAndNotBeforeItsTime) {
    HostClock clock;
    std::atomic<uint64_t> fired_at{0};
    std::atomic<int> count{0};
    auto timer = clock.create_timer([&] {
        fired_at = clock.now_ns();
        ++count;
    });
    const uint64_t deadline = clock.now_ns() + 5 * kMs;
    timer->arm(deadline);
    ASSERT_TRUE(eventually([&] { return count == 1; }));
    EXPECT_GE(fired_at, deadline);
    sleep_ms(20);
    EXPECT_EQ(count, 1);
}

TEST(HostClock, FiresInOrderOfDeadlines) {
    HostClock clock;
    std::vector<int> order;
    std::atomic<int> count{0};
    std::vector<std::unique_ptr<VmTimer>> timers;
    for (int i = 0; i < 4; ++i) {
        timers.push_back(clock.create_timer([&, i] {
            order.push_back(i);
            ++count;
        }));
    }
    const uint64_t start = clock.now_ns() + 10 * kMs;
    for (size_t i : {2, 0, 3, 1}) timers[i]->arm(start + 2 * kMs * i);
    ASSERT_TRUE(eventually([&] { return count == 4; }));
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
}

TEST(HostClock, ArmingReplacesAndDisarmingForgets) {
    HostClock clock;
    std::atomic<int> count{0};
    auto timer = clock.create_timer([&] { ++count; });
    timer->arm(clock.now_ns() + 15 * kMs);
    timer->disarm();
    sleep_ms(40);
    EXPECT_EQ(count, 0);
    timer->arm(clock.now_ns() + 3'600'000 * kMs);
    timer->arm(clock.now_ns() + kMs);
    ASSERT_TRUE(eventually([&] { return count == 1; }));
}

TEST(HostClock, APastDeadlineFiresAtOnce) {
    HostClock clock;
    std::atomic<int> count{0};
    auto timer = clock.create_timer([&] { ++count; });
    timer->arm(0);
    EXPECT_TRUE(eventually([&] { return count == 1; }));
    timer->arm(~uint64_t{0});
    sleep_ms(5);
    EXPECT_EQ(count, 1);
}

TEST(HostClock, OnlyAnEarlierDeadlineMovesTheHostsTimer) {
    HostClock clock;
    auto first = clock.create_timer([] {});
    auto second = clock.create_timer([] {});
    const uint64_t far = clock.now_ns() + 3'600'000 * kMs;
    sleep_ms(20);  // the thread has gone to sleep
    first->arm(far);
    const auto before = clock.counts();
    for (int i = 1; i < 1000; ++i) second->arm(far + static_cast<uint64_t>(i));
    sleep_ms(5);
    EXPECT_EQ(clock.counts().moves, before.moves);
    EXPECT_EQ(clock.counts().wakes, before.wakes);
    second->arm(far - 1);
    sleep_ms(5);
    EXPECT_EQ(clock.counts().moves, before.moves + 1);
    EXPECT_EQ(clock.counts().wakes, before.wakes);
}

TEST(HostClock, ACallbackMayArmItsOwnTimer) {
    HostClock clock;
    std::atomic<int> count{0};
    VmTimer* self = nullptr;
    auto timer = clock.create_timer([&] {
        if (++count < 50) self->arm(clock.now_ns() + 10'000);
    });
    self = timer.get();
    timer->arm(clock.now_ns() + kMs);
    EXPECT_TRUE(eventually([&] { return count == 50; }));
}

TEST(HostClock, DestructionWaitsForTheCallback) {
    HostClock clock;
    std::atomic<bool> entered{false}, left{false};
    auto timer = clock.create_timer([&] {
        entered = true;
        sleep_ms(20);
        left = true;
    });
    timer->arm(0);
    ASSERT_TRUE(eventually([&] { return entered.load(); }));
    timer.reset();
    EXPECT_TRUE(left);
}

TEST(HostClock, ManyThreadsArmDisarmAndDestroy) {
    HostClock clock;
    std::atomic<uint64_t> fired{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (unsigned round = 0; round < 200; ++round) {
                auto timer = clock.create_timer([&] { ++fired; });
                for (unsigned i = 0; i < 20; ++i) {
                    timer->arm(clock.now_ns() + (i * 7919 + t * 104729) % 50'000);
                    if (i % 5 == 0) timer->disarm();
                }
            }
        });
    }
    for (auto& thread : threads) thread.join();
    SUCCEED() << fired;
}

}  // namespace
}  // namespace mynah
