#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/log.h"
#include "testing/crash_store.h"
#include "testing/image_kinds.h"

// Random work on an image whose power goes at a random write: afterwards the image opens, its check
// finds no damage, and every sector holds what was flushed last or something written since.
namespace mynah {
namespace {

using testing::CrashStore;
using testing::ImageKind;
using testing::image_kinds;

constexpr uint64_t kSector = 512;

// What each sector may hold: one byte fills a sector.
class Model {
  public:
    explicit Model(uint64_t size) : allowed_(size / kSector, {0}), failed_(size / kSector) {}
    void write(uint64_t offset, uint64_t size, uint8_t value) {
        for (uint64_t i = offset / kSector; i < (offset + size) / kSector; ++i) {
            allowed_[i].insert(allowed_[i].end(), failed_[i].begin(), failed_[i].end());
            failed_[i].clear();
            allowed_[i].push_back(value);
        }
    }
    // A write that was done in part, or not at all; a flush does not decide it.
    void failed_write(uint64_t offset, uint64_t size, uint8_t value) {
        for (uint64_t i = offset / kSector; i < (offset + size) / kSector; ++i)
            failed_[i].push_back(value);
    }
    void flushed() {
        for (auto& values : allowed_) values.assign(1, values.back());
    }
    void resize(uint64_t size) {
        allowed_.resize(size / kSector, {0});
        failed_.resize(size / kSector);
    }
    uint64_t size() const { return allowed_.size() * kSector; }
    bool allows(uint64_t sector, uint8_t value) const {
        const auto among = [value](const std::vector<uint8_t>& values) {
            return std::ranges::find(values, value) != values.end();
        };
        return among(allowed_[sector]) || among(failed_[sector]);
    }

  private:
    std::vector<std::vector<uint8_t>> allowed_, failed_;
};

class ImageCrash : public ::testing::TestWithParam<size_t> {
  protected:
    const ImageKind kind_ = image_kinds()[GetParam()];

    void SetUp() override { set_log_level(LogLevel::kError); }  // repairs are warned of
    void TearDown() override { set_log_level(LogLevel::kWarning); }

    // Until power goes, or `steps` are done.
    void work(DiskImage& image, Model& model, std::mt19937_64& random, int steps) {
        std::vector<std::byte> bytes;
        for (int i = 0; i < steps; ++i) {
            const uint64_t offset = random() % (model.size() / kSector) * kSector;
            const uint64_t size = std::min(model.size() - offset, (random() % 40 + 1) * kSector);
            const uint64_t choice = random() % 16;
            if (choice < 9) {
                const auto value = static_cast<uint8_t>(random());
                bytes.assign(size, std::byte{value});
                model.write(offset, size, value);
                if (image.write(offset, bytes) != BlockStatus::kOk) return;
            } else if (choice < 11) {
                model.write(offset, size, 0);
                if (image.write_zeroes(offset, size, choice == 9) != BlockStatus::kOk) return;
            } else if (choice < 13 && kind_.discards) {
                // Nothing is promised but that it is old or zero.
                model.write(offset, size, 0);
                bytes.assign(size, std::byte{0});
                if (image.discard(offset, size) != BlockStatus::kOk) return;
                if (image.write_zeroes(offset, size, true) != BlockStatus::kOk) return;
            } else if (choice < 14 && kind_.snapshots) {
                if (!image.create_snapshot("s", 0)) return;
                model.flushed();
                if (image.snapshots().size() > 2 && !image.delete_snapshot("s")) return;
            } else if (choice < 14 && kind_.resizes) {
                const uint64_t grown = model.size() + (random() % 64) * kSector;
                if (!image.resize(grown)) return;
                model.flushed();
                model.resize(grown);
            } else if (image.flush() == BlockStatus::kOk) {
                model.flushed();
            } else {
                return;
            }
        }
    }

    void verify(const std::vector<std::byte>& medium, const Model& model, const std::string& where) {
        CrashStore store(medium);
        auto image = kind_.open(store.file());
        ASSERT_TRUE(image.ok()) << where << image.error().message();
        const CheckReport report = image.value()->check(Repair::kNothing);
        ASSERT_EQ(report.corruptions + report.check_errors, 0u)
            << where << (report.messages.empty() ? "" : report.messages.front());
        const uint64_t size = std::min(image.value()->size(), model.size());
        std::vector<std::byte> content(size);
        ASSERT_EQ(image.value()->read_bytes(0, content), BlockStatus::kOk) << where;
        for (uint64_t i = 0; i < size / kSector; ++i) {
            const std::byte* sector = &content[i * kSector];
            ASSERT_EQ(std::memcmp(sector, sector + 1, kSector - 1), 0) << where << "sector " << i;
            ASSERT_TRUE(model.allows(i, static_cast<uint8_t>(*sector)))
                << where << "sector " << i << " holds " << static_cast<int>(*sector);
        }
        // And it can be used on.
        std::vector<std::byte> bytes(kSector, std::byte{0xa5});
        ASSERT_EQ(image.value()->write(0, bytes), BlockStatus::kOk) << where;
        ASSERT_EQ(image.value()->flush(), BlockStatus::kOk) << where;
        const CheckReport after = image.value()->check(Repair::kNothing);
        ASSERT_EQ(after.corruptions + after.check_errors, 0u)
            << where << (after.messages.empty() ? "" : after.messages.front());
    }
};

// A host that is full for a while: what fails may be tried again, and what a later flush says is
// there is there.
TEST_P(ImageCrash, RecoversFromFailingWrites) {
    constexpr uint64_t kSize = 3 << 19;
    for (int seed = 0; seed < 150; ++seed) {
        std::mt19937_64 random(static_cast<uint64_t>(seed) + 1000);
        CrashStore store;
        {
            const auto file = store.file();
            ASSERT_TRUE(kind_.create(*file, kSize).ok());
        }
        Model model(kSize);
        const std::string where = "seed " + std::to_string(seed) + ": ";
        bool sure = false;
        std::vector<std::byte> medium;
        {
            auto image = kind_.open(store.file());
            ASSERT_TRUE(image.ok()) << image.error().message();
            store.fail_after(random() % 120, 1 + random() % 6);
            std::vector<std::byte> bytes;
            for (int i = 0; i < 40; ++i) {
                const uint64_t offset = random() % (kSize / kSector) * kSector;
                const uint64_t size = std::min(kSize - offset, (random() % 40 + 1) * kSector);
                const auto value = static_cast<uint8_t>(random());
                bytes.assign(size, std::byte{value});
                if (image.value()->write(offset, bytes) == BlockStatus::kOk)
                    model.write(offset, size, value);
                else
                    model.failed_write(offset, size, value);
                sure = random() % 4 == 0 && image.value()->flush() == BlockStatus::kOk;
                if (sure) model.flushed();
            }
            for (int i = 0; i < 8 && !sure; ++i)
                sure = image.value()->flush() == BlockStatus::kOk;
            if (sure) model.flushed();
            medium = store.survivors(random);
        }
        verify(medium, model, where);
        if (HasFatalFailure()) return;
    }
}

TEST_P(ImageCrash, LosesNothingThatWasFlushed) {
    constexpr int kCrashes = 250;
    constexpr uint64_t kSize = 3 << 19;  // 1.5 MiB
    for (int seed = 0; seed < kCrashes; ++seed) {
        std::mt19937_64 random(static_cast<uint64_t>(seed));
        CrashStore store;
        {
            const auto file = store.file();
            const auto made = kind_.create(*file, kSize);
            ASSERT_TRUE(made.ok()) << made.error().message();
        }
        Model model(kSize);
        const std::string where = "seed " + std::to_string(seed) + ": ";
        {
            auto image = kind_.open(store.file());
            ASSERT_TRUE(image.ok()) << image.error().message();
            store.crash_after(random() % 150);
            work(*image.value(), model, random, 60);
        }
        if (!store.crashed()) model.flushed();  // it was closed in order
        verify(store.survivors(random), model, where);
        if (HasFatalFailure()) return;
    }
}

std::string name_of(const ::testing::TestParamInfo<size_t>& info) {
    return image_kinds()[info.param].name;
}

INSTANTIATE_TEST_SUITE_P(Formats, ImageCrash, ::testing::Range<size_t>(0, image_kinds().size()), name_of);

}  // namespace
}  // namespace mynah
