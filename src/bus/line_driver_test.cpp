#include "bus/line_driver.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "testing/recording_line.h"

namespace mynah {
namespace {

TEST(LineDriver, DrivesNothingBeforeFlush) {
    testing::RecordingLine line;
    LineDriver driver(line);
    driver.want(true);
    EXPECT_FALSE(line.level());
    driver.flush();
    EXPECT_TRUE(line.level());
    driver.want(true);
    driver.flush();
    EXPECT_EQ(line.calls(), 1u);
}

TEST(LineDriver, ADipBetweenFlushesIsSeenAsAnEdge) {
    testing::RecordingLine line;
    LineDriver driver(line);
    driver.want(true);
    driver.flush();
    driver.want(false);
    driver.want(true);
    driver.flush();
    EXPECT_EQ(line.rises(), 2u);
    driver.want_edge();
    driver.flush();
    EXPECT_EQ(line.rises(), 3u);
    EXPECT_TRUE(line.level());
}

TEST(LineDriver, ManyChangesFoldButEndRight) {
    for (unsigned changes : {5u, 6u, 1000u, 1001u}) {
        testing::RecordingLine line;
        LineDriver driver(line);
        for (unsigned i = 1; i <= changes; ++i) driver.want(i % 2 == 1);
        driver.flush();
        EXPECT_EQ(line.level(), changes % 2 == 1) << changes;
        EXPECT_GE(line.rises(), 1u);
        EXPECT_LE(line.calls(), 5u);
    }
}

// The level a device wanted last is the level of the line once everybody has flushed.
TEST(LineDriver, ConcurrentUsersLeaveTheLastLevel) {
    testing::RecordingLine line;
    LineDriver driver(line);
    Mutex device;
    bool last = false;
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (unsigned i = 0; i < 5000; ++i) {
                {
                    MutexLock lock(device);
                    last = (i + t) % 3 == 0;
                    driver.want(last);
                }
                driver.flush();
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(line.level(), last);
}

}  // namespace
}  // namespace mynah
