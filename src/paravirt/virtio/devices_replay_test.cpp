#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/log.h"
#include "paravirt/virtio/devices_fuzz.h"

// The fuzz targets of the smaller devices on pseudo-random inputs, always the same ones. A board
// aborts the program if something does not hold.
namespace mynah {
namespace {

void replay(void (*run)(testing::ByteFeed&), uint32_t inputs) {
    set_log_level(LogLevel::kError);
    for (uint32_t seed = 0; seed < inputs; ++seed) {
        std::mt19937 random(seed);
        std::vector<uint8_t> bytes(64 + random() % 2048);
        for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
        testing::ByteFeed feed(bytes.data(), bytes.size());
        run(feed);
    }
    set_log_level(LogLevel::kWarning);
}

TEST(DevicesReplay, Console) { replay(testing::fuzz_console, 400); }
TEST(DevicesReplay, Balloon) { replay(testing::fuzz_balloon, 400); }
TEST(DevicesReplay, Vsock) { replay(testing::fuzz_vsock, 400); }
TEST(DevicesReplay, Scsi) { replay(testing::fuzz_scsi, 400); }
TEST(DevicesReplay, Gpu) { replay(testing::fuzz_gpu, 400); }
TEST(DevicesReplay, Iommu) { replay(testing::fuzz_iommu, 400); }
TEST(DevicesReplay, Fs) { replay(testing::fuzz_fs, 200); }

}  // namespace
}  // namespace mynah
