#include "backend/block/image/image_disk.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "backend/block/qcow2/qcow2_image.h"
#include "backend/block/raw/raw_image.h"
#include "testing/crash_store.h"

namespace mynah {
namespace {

using testing::CrashStore;
constexpr uint64_t kSize = 1 << 20, kCluster = 65536;

class Done final : public BlockCompletion {
  public:
    void block_done(BlockRequest&, BlockStatus status) override { status_ = status; }
    BlockStatus status_ = BlockStatus::kUnsupported;
};

// A qcow2 image over a raw one full of 'b'.
class CopyOnRead : public ::testing::Test {
  protected:
    void start(bool copy_on_read) {
        Qcow2CreateOptions create;
        create.size = kSize;
        create.backing = BackingReference{"below", "raw"};
        const auto file = top_.file();
        ASSERT_TRUE(Qcow2Image::create(*file, create).ok());
        auto image = Qcow2Image::open(top_.file(), {});
        ASSERT_TRUE(image.ok()) << image.error().message();
        image_ = image.value().get();
        image.value()->set_backing(std::make_unique<RawImage>(below_.file(true)));
        ImageDiskOptions options;
        options.copy_on_read = copy_on_read;
        disk_ = std::make_unique<ImageDisk>(image.take_value(), options, executor_);
    }
    std::string read(uint64_t offset, uint64_t size) {
        std::string text(size, '?');
        const std::vector<Slice> slices{std::as_writable_bytes(std::span(text))};
        Done done;
        BlockRequest request;
        request.offset = offset;
        request.size = size;
        request.slices = slices;
        request.completion = &done;
        disk_->submit(request);
        EXPECT_EQ(done.status_, BlockStatus::kOk);
        return text;
    }
    ImageExtent::Kind kind_at(uint64_t offset) {
        ImageExtent extent;
        EXPECT_EQ(image_->map(offset, 1, extent), BlockStatus::kOk);
        return extent.kind;
    }

    CrashStore below_{std::vector<std::byte>(kSize, std::byte{'b'})}, top_;
    InlineExecutor executor_;
    Qcow2Image* image_ = nullptr;
    std::unique_ptr<ImageDisk> disk_;
};

TEST_F(CopyOnRead, KeepsTheClustersThatWereRead) {
    start(true);
    EXPECT_EQ(read(kCluster - 512, 1024), std::string(1024, 'b'));
    EXPECT_EQ(kind_at(0), ImageExtent::Kind::kData);
    EXPECT_EQ(kind_at(2 * kCluster - 1), ImageExtent::Kind::kData);
    EXPECT_EQ(kind_at(2 * kCluster), ImageExtent::Kind::kBacking);
    // What is kept is right, all of it, and shadows what is below.
    EXPECT_EQ(read(0, 2 * kCluster), std::string(2 * kCluster, 'b'));
}

TEST_F(CopyOnRead, WithoutItNothingIsKept) {
    start(false);
    EXPECT_EQ(read(0, 4096), std::string(4096, 'b'));
    EXPECT_EQ(kind_at(0), ImageExtent::Kind::kBacking);
}

// Reading succeeded: that it cannot be kept is nobody's error.
TEST_F(CopyOnRead, NoRoomToKeepItIsNoFailure) {
    start(true);
    top_.crash_after(0);
    EXPECT_EQ(read(0, 4096), std::string(4096, 'b'));
    EXPECT_EQ(kind_at(0), ImageExtent::Kind::kBacking);
}

}  // namespace
}  // namespace mynah
