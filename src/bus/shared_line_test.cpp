#include "bus/shared_line.h"

#include <gtest/gtest.h>

#include "testing/recording_line.h"

namespace mynah {
namespace {

TEST(SharedLine, IsHighWhileAnyInputIs) {
    testing::RecordingLine output;
    SharedLine line(output);
    InterruptLine& a = line.add_input();
    InterruptLine& b = line.add_input();
    a.set(true);
    EXPECT_TRUE(output.level());
    b.set(true);
    a.set(false);
    EXPECT_TRUE(output.level());
    b.set(false);
    EXPECT_FALSE(output.level());
}

TEST(SharedLine, RepeatedLevelsCountOnce) {
    testing::RecordingLine output;
    SharedLine line(output);
    InterruptLine& a = line.add_input();
    InterruptLine& b = line.add_input();
    a.set(true);
    a.set(true);
    b.set(false);
    a.set(false);
    EXPECT_FALSE(output.level());
}

}  // namespace
}  // namespace mynah
