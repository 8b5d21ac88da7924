#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "device/storage/ahci_fuzz.h"
#include "device/storage/ide_fuzz.h"
#include "device/storage/nvme_fuzz.h"

// The fuzz targets' boards on pseudo-random inputs, always the same ones: a short form of
// fuzzing that needs no fuzzer. A board aborts the program if something does not hold.
namespace mynah {
namespace {

template <typename Board>
void replay(uint32_t first, uint32_t count) {
    for (uint32_t seed = first; seed < first + count; ++seed) {
        std::mt19937 random(seed);
        std::vector<uint8_t> bytes(64 + random() % 2048);
        for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
        testing::ByteFeed feed(bytes.data(), bytes.size());
        Board board;
        board.run(feed);
    }
}

TEST(StorageReplay, Ahci) { replay<AhciFuzzBoard>(0, 300); }
TEST(StorageReplay, Ide) { replay<IdeFuzzBoard>(10000, 300); }
TEST(StorageReplay, Nvme) { replay<NvmeFuzzBoard>(20000, 300); }

}  // namespace
}  // namespace mynah
