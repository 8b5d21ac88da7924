#include "paravirt/virtio/interrupt_status.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "testing/recording_line.h"

namespace mynah {
namespace {

TEST(InterruptStatus, TheLineIsHighWhileAnyBitIsSet) {
    testing::RecordingLine line;
    InterruptStatus status(line);
    status.raise(1);
    EXPECT_TRUE(line.level());
    status.raise(2);
    EXPECT_EQ(status.bits(), 3u);
    status.acknowledge(1);
    EXPECT_TRUE(line.level());
    status.acknowledge(2);
    EXPECT_FALSE(line.level());
    EXPECT_EQ(line.rises(), 1u);
}

TEST(InterruptStatus, NothingHappensToTheLineWithoutNeed) {
    testing::RecordingLine line;
    InterruptStatus status(line);
    status.acknowledge(3);
    EXPECT_EQ(line.calls(), 0u);
    status.raise(1);
    status.raise(1);
    EXPECT_EQ(line.calls(), 1u);
    status.acknowledge(2);
    EXPECT_EQ(line.calls(), 1u);
}

TEST(InterruptStatus, TheLineEndsAtTheLevelOfTheLastState) {
    // Devices raise and processors acknowledge at the same time; whatever the order was, in the end
    // line and bits must agree, or an interrupt is lost or never ends.
    for (int round = 0; round < 200; ++round) {
        testing::RecordingLine line;
        InterruptStatus status(line);
        std::vector<std::thread> threads;
        for (uint32_t t = 0; t < 3; ++t) {
            threads.emplace_back([&status, t] {
                for (int i = 0; i < 100; ++i) {
                    status.raise(1u << (t & 1));
                    status.acknowledge(1u << (t & 1));
                }
                if (t == 2) status.raise(2);
            });
        }
        for (std::thread& thread : threads) thread.join();
        EXPECT_EQ(line.level(), status.bits() != 0);
    }
}

}  // namespace
}  // namespace mynah
