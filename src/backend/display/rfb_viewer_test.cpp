// What the fuzz target drives, with the bytes of a fixed random generator.

#include "backend/display/rfb_viewer_fuzz.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace mynah {
namespace {

TEST(RfbViewer, RandomBytes) {
    std::mt19937 random(20261122);
    for (unsigned round = 0; round < 400; ++round) {
        std::vector<uint8_t> bytes(random() % 2048);
        for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
        testing::drive_rfb_viewer(bytes);
    }
}

}  // namespace
}  // namespace mynah
