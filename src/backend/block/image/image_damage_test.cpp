#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/log.h"
#include "testing/crash_store.h"
#include "testing/image_fuzz.h"
#include "testing/image_kinds.h"

// Images whose bytes were changed at random: they are refused, or give errors, or odd contents, and
// do no harm. The fuzz targets look further; this is what every run of the tests sees.
namespace mynah {
namespace {

using testing::CrashStore;

constexpr uint64_t kSize = 3 << 19;

class ImageDamage : public ::testing::TestWithParam<size_t> {
  protected:
    void SetUp() override { set_log_level(static_cast<LogLevel>(99)); }
    void TearDown() override { set_log_level(LogLevel::kWarning); }
};

std::vector<std::byte> some_image(const testing::ImageKind& kind) {
    CrashStore store;
    const auto file = store.file();
    EXPECT_TRUE(kind.create(*file, kSize).ok());
    auto image = kind.open(store.file());
    if (!image) return {};
    for (uint64_t i = 0; i < 12; ++i) {
        const std::vector<std::byte> bytes(3000, static_cast<std::byte>(i));
        EXPECT_EQ(image.value()->write(i * 131072, bytes), BlockStatus::kOk);
    }
    if (kind.snapshots) {
        EXPECT_TRUE(image.value()->create_snapshot("s", 1).ok());
    }
    image.value().reset();
    return store.bytes();
}

TEST_P(ImageDamage, DoesNoHarm) {
    const testing::ImageKind kind = testing::image_kinds()[GetParam()];
    std::vector<std::byte> good = some_image(kind);
    // What follows the tables is data; to copy it each time would only take long.
    good.resize(std::min<size_t>(good.size(), 4 << 20));
    for (int seed = 0; seed < 60; ++seed) {
        std::mt19937_64 random(static_cast<uint64_t>(seed));
        std::vector<std::byte> bad = good;
        const uint64_t changes = random() % 8 + 1;
        for (uint64_t i = 0; i < changes; ++i) {
            // Mostly where something is: headers, tables.
            const size_t reach = seed % 3 == 0 ? 600 : std::min<size_t>(bad.size(), 65536 << (random() % 7));
            const size_t at = random() % std::min(reach, bad.size());
            const uint64_t kinds = random() % 4;
            bad[at] = kinds == 0   ? std::byte{0xff}
                      : kinds == 1 ? std::byte{0}
                      : kinds == 2 ? bad[at] ^ static_cast<std::byte>(1 << random() % 8)
                                   : static_cast<std::byte>(random());
        }
        if (seed % 7 == 0) bad.resize(random() % bad.size());
        testing::exercise_image(reinterpret_cast<const uint8_t*>(bad.data()), bad.size(), kind.open);
    }
}

std::string name_of(const ::testing::TestParamInfo<size_t>& info) {
    return testing::image_kinds()[info.param].name;
}

INSTANTIATE_TEST_SUITE_P(Formats, ImageDamage,
                         ::testing::Range<size_t>(0, testing::image_kinds().size()), name_of);

}  // namespace
}  // namespace mynah
