#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "backend/entropy/entropy_source.h"

namespace mynah {
namespace {

TEST(HostEntropy, FillsWhatItSaysAndNothingElse) {
    HostEntropy source;
    std::vector<std::byte> bytes(10000, std::byte{0});
    const size_t got = source.fill(bytes);
    ASSERT_GT(got, 0u);
    ASSERT_LE(got, bytes.size());
    // Of hundreds of random bytes not all are zero, and what lies beyond is untouched.
    EXPECT_TRUE(std::any_of(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(got),
                            [](std::byte b) { return b != std::byte{0}; }));
    EXPECT_TRUE(std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(got), bytes.end(),
                            [](std::byte b) { return b == std::byte{0}; }));
}

TEST(HostEntropy, AnEmptySpanGivesNothing) {
    HostEntropy source;
    EXPECT_EQ(source.fill({}), 0u);
}

}  // namespace
}  // namespace mynah
