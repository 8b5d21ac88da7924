#include "base/worker_executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace mynah {
namespace {

TEST(WorkerExecutor, DoesWorkInOrderOnAnotherThread) {
    std::vector<int> order;
    std::thread::id worker;
    {
        WorkerExecutor executor;
        for (int i = 0; i < 100; ++i) executor.post([&order, i] { order.push_back(i); });
        executor.post([&worker] { worker = std::this_thread::get_id(); });
    }  // waits for all of it
    ASSERT_EQ(order.size(), 100u);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
    EXPECT_NE(worker, std::this_thread::get_id());
}

TEST(WorkerExecutor, WorkMayPostWork) {
    std::atomic<int> done{0};
    {
        WorkerExecutor executor;
        executor.post([&] {
            ++done;
            executor.post([&] { ++done; });
        });
    }
    EXPECT_EQ(done, 2);
}

TEST(WorkerExecutor, AnUnusedOneIsDestroyedAtOnce) { WorkerExecutor executor; }

TEST(WorkerExecutor, TakesWorkFromManyThreads) {
    std::atomic<int> done{0};
    {
        WorkerExecutor executor;
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < 500; ++i) executor.post([&] { ++done; });
            });
        }
        for (std::thread& thread : threads) thread.join();
    }
    EXPECT_EQ(done, 2000);
}

}  // namespace
}  // namespace mynah
