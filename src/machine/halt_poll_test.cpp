#include "machine/halt_poll.h"

#include <gtest/gtest.h>

namespace mynah {
namespace {

TEST(HaltPoll, OpensWhileSleepIsShort) {
    HaltPoll poll;
    EXPECT_EQ(poll.window(), 0u);
    uint64_t before = 0;
    for (unsigned i = 0; i < 10; ++i) {
        poll.slept(HaltPoll::kMost / 2);
        EXPECT_TRUE(poll.window() > before || poll.window() == HaltPoll::kMost);
        before = poll.window();
    }
    EXPECT_EQ(poll.window(), HaltPoll::kMost);
}

TEST(HaltPoll, AnIdleMachineDoesNotLook) {
    HaltPoll poll;
    for (unsigned i = 0; i < 10; ++i) poll.slept(HaltPoll::kMost / 2);
    poll.slept(HaltPoll::kMost + 1);
    EXPECT_EQ(poll.window(), 0u);
}

}  // namespace
}  // namespace mynah
