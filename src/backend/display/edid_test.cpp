#include "backend/display/edid.h"

#include <gtest/gtest.h>

#include <numeric>

namespace mynah {
namespace {

unsigned sum(const std::array<uint8_t, 128>& block) {
    return std::accumulate(block.begin(), block.end(), 0u) & 0xff;
}

TEST(Edid, HeaderVersionAndChecksum) {
    const auto block = make_edid({});
    const std::array<uint8_t, 8> header{0, 255, 255, 255, 255, 255, 255, 0};
    EXPECT_TRUE(std::equal(header.begin(), header.end(), block.begin()));
    EXPECT_EQ(block[18], 1);
    EXPECT_EQ(block[19], 4);
    EXPECT_EQ(block[126], 0);
    EXPECT_EQ(sum(block), 0u);
}

TEST(Edid, PreferredModeIsTheOneAskedFor) {
    for (const auto& [width, height] : {std::pair{1280, 800}, {1920, 1080}, {640, 480}}) {
        const auto block = make_edid({.preferred_width = static_cast<uint16_t>(width),
                                      .preferred_height = static_cast<uint16_t>(height)});
        EXPECT_EQ(sum(block), 0u);
        const uint8_t* timing = block.data() + 54;
        EXPECT_EQ(timing[2] | (timing[4] >> 4) << 8, width);
        EXPECT_EQ(timing[5] | (timing[7] >> 4) << 8, height);
        const int across = width + (timing[3] | (timing[4] & 15) << 8);
        const int down = height + (timing[6] | (timing[7] & 15) << 8);
        const double rate = (timing[0] | timing[1] << 8) * 10'000.0 / (across * down);
        EXPECT_NEAR(rate, 60.0, 0.05);
        // Vertical blanking of at least 460 us.
        EXPECT_GE((down - height) / (rate * down), 455e-6);
        EXPECT_EQ((timing[12] | (timing[14] >> 4) << 8), width * 254 / 1000);
    }
}

TEST(Edid, NameIsCutToItsField) {
    const auto block = make_edid({.name = "a name that is much too long"});
    EXPECT_EQ(block[90 + 3], 0xfc);
    EXPECT_EQ(std::string(block.begin() + 95, block.begin() + 108), "a name that i");
    const auto shorter = make_edid({.name = "abc"});
    EXPECT_EQ(std::string(shorter.begin() + 95, shorter.begin() + 108), "abc\n         ");
}

}  // namespace
}  // namespace mynah
