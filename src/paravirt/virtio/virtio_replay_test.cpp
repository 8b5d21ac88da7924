#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "paravirt/virtio/packed_ring_fuzz.h"
#include "paravirt/virtio/virtio_block_fuzz.h"
#include "paravirt/virtio/virtio_legacy_fuzz.h"
#include "paravirt/virtio/virtio_mmio_fuzz.h"
#include "paravirt/virtio/virtio_net_fuzz.h"

// The fuzz targets' boards on pseudo-random inputs, always the same ones: a short form of
// fuzzing that needs no fuzzer. A board aborts the program if something does not hold.
namespace mynah {
namespace {

std::vector<uint8_t> input(uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<uint8_t> bytes(64 + random() % 1024);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    return bytes;
}

class VirtioReplay : public ::testing::Test {
  protected:
    void SetUp() override { set_log_level(LogLevel::kError); }
    void TearDown() override { set_log_level(LogLevel::kWarning); }
};

TEST_F(VirtioReplay, AGuestThatDoesAnything) {
    for (uint32_t seed = 0; seed < 1000; ++seed) {
        const std::vector<uint8_t> bytes = input(seed);
        testing::ByteFeed feed(bytes.data(), bytes.size());
        VirtioMmioFuzzBoard().run(feed);
    }
}

TEST_F(VirtioReplay, APackedRingWithAnythingInIt) {
    for (uint32_t seed = 0; seed < 3000; ++seed) {
        const std::vector<uint8_t> bytes = input(seed);
        testing::ByteFeed feed(bytes.data(), bytes.size());
        PackedRingFuzzBoard().run(feed);
    }
}

TEST_F(VirtioReplay, AnOldDriverThatDoesAnything) {
    for (uint32_t seed = 0; seed < 1000; ++seed) {
        const std::vector<uint8_t> bytes = input(seed);
        testing::ByteFeed feed(bytes.data(), bytes.size());
        VirtioLegacyFuzzBoard().run(feed);
    }
}

TEST_F(VirtioReplay, ADriverThatAsksForAnything) {
    for (uint32_t seed = 0; seed < 1000; ++seed) {
        const std::vector<uint8_t> bytes = input(seed);
        testing::ByteFeed feed(bytes.data(), bytes.size());
        VirtioBlockFuzzBoard().run(feed);
    }
}

TEST_F(VirtioReplay, ANetworkWithAnythingOnIt) {
    for (uint32_t seed = 0; seed < 1000; ++seed) {
        const std::vector<uint8_t> bytes = input(seed);
        testing::ByteFeed feed(bytes.data(), bytes.size());
        VirtioNetFuzzBoard().run(feed);
    }
}

}  // namespace
}  // namespace mynah
