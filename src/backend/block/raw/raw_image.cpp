#include "backend/block/raw/raw_image.h"

#include "backend/block/image/host_file.h"
#include "base/bits.h"

namespace mynah {

RawImage::RawImage(std::unique_ptr<ImageFile> file)
    : DiskImage(align_up(file->size(), 512)), file_(std::move(file)) {}

BlockStatus RawImage::map(uint64_t offset, uint64_t size, ImageExtent& extent) {
    extent = {ImageExtent::Kind::kData, true, size, file_.get(), offset};
    // Holes need not be copied or stored.
    const auto* host = dynamic_cast<const HostFile*>(file_.get());
    uint64_t start = 0, end = 0;
    // Small pieces are quicker read than asked about.
    if (host == nullptr || size < 64 * 1024) return BlockStatus::kOk;
    if (!host->next_data(offset, start, end)) start = end = offset + size;
    if (start > offset) {
        extent.kind = ImageExtent::Kind::kZero;
        extent.size = std::min(size, start - offset);
    } else {
        extent.size = std::min(size, end - offset);
    }
    return BlockStatus::kOk;
}

BlockStatus RawImage::write(uint64_t offset, std::span<const std::byte> from) {
    return file_->write_bytes(offset, from);
}
BlockStatus RawImage::write_zeroes(uint64_t offset, uint64_t size, bool may_unmap) {
    return file_->write_zeroes(offset, size, may_unmap);
}
BlockStatus RawImage::discard(uint64_t offset, uint64_t size) {
    return file_->discard(offset, size);
}

Result<void> RawImage::resize(uint64_t new_size) {
    TRY(expect_ok(*file_, "resized", file_->truncate(new_size)));
    size_ = new_size;
    return {};
}

}  // namespace mynah
