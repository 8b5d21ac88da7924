#include "backend/block/image/disk_image.h"

#include <fmt/core.h>

#include <array>

#include "backend/block/image/slice_cursor.h"
#include "base/log.h"

namespace mynah {
namespace {

uint64_t total(std::span<const Slice> slices) {
    uint64_t size = 0;
    for (const Slice& slice : slices) size += slice.size();
    return size;
}

}  // namespace

Error DiskImage::cannot(std::string_view what) const {
    return Error(fmt::format("{}: a {} image cannot {}", file().name(), format(), what));
}

BlockStatus DiskImage::read_encoded(uint64_t, std::span<std::byte>) {
    return BlockStatus::kUnsupported;
}
BlockStatus DiskImage::write_compressed(uint64_t, std::span<const std::byte>) {
    return BlockStatus::kUnsupported;
}
bool DiskImage::flush_at_end() {
    if (read_only() || flush() == BlockStatus::kOk) return true;
    log(LogLevel::kError, "{}: the last changes to its tables could not be written", file().name());
    return false;
}
BlockStatus DiskImage::discard(uint64_t, uint64_t) { return BlockStatus::kOk; }
Result<void> DiskImage::resize(uint64_t) { return cannot("be resized"); }
CheckReport DiskImage::check(Repair) { return {}; }
Result<void> DiskImage::create_snapshot(const std::string&, uint32_t) {
    return cannot("hold snapshots");
}
Result<void> DiskImage::apply_snapshot(const std::string&) { return cannot("hold snapshots"); }
Result<void> DiskImage::delete_snapshot(const std::string&) { return cannot("hold snapshots"); }
Result<void> DiskImage::view_snapshot(const std::string&) { return cannot("hold snapshots"); }
Result<void> DiskImage::make_empty() { return cannot("be emptied"); }
Result<void> DiskImage::set_backing_reference(const std::optional<BackingReference>&) {
    return cannot("change what it is backed by");
}

BlockStatus DiskImage::write_zeroes(uint64_t offset, uint64_t size, bool) {
    static const std::array<std::byte, 64 * 1024> kZeroes{};
    while (size > 0) {
        // What reads as zeroes already stays as it is.
        ImageExtent extent;
        TRY_BLOCK(map_chain(offset, size, extent, nullptr));
        uint64_t part = extent.size;
        if (extent.kind != ImageExtent::Kind::kZero) {
            part = std::min<uint64_t>(part, kZeroes.size());
            TRY_BLOCK(write(offset, std::span(kZeroes).first(part)));
        }
        offset += part;
        size -= part;
    }
    return BlockStatus::kOk;
}

BlockStatus DiskImage::read(uint64_t offset, std::span<const Slice> to) {
    uint64_t left = total(to);
    SliceCursor cursor(to);
    while (left > 0) {
        ImageExtent extent;
        TRY_BLOCK(map(offset, left, extent));
        switch (extent.kind) {
            case ImageExtent::Kind::kData:
                TRY_BLOCK(extent.file->read(extent.file_offset, cursor.take(extent.size)));
                break;
            case ImageExtent::Kind::kZero:
                cursor.fill_zero(extent.size);
                break;
            case ImageExtent::Kind::kBacking:
                TRY_BLOCK(read_backing(offset, cursor.take(extent.size)));
                break;
            case ImageExtent::Kind::kEncoded: {
                std::vector<std::byte> decoded(extent.size);
                TRY_BLOCK(read_encoded(offset, decoded));
                cursor.copy_in(decoded);
                break;
            }
        }
        offset += extent.size;
        left -= extent.size;
    }
    return BlockStatus::kOk;
}

BlockStatus DiskImage::read_backing(uint64_t offset, std::span<const Slice> to) {
    const uint64_t wanted = total(to);
    const uint64_t there = backing_ == nullptr || offset >= backing_->size()
                               ? 0
                               : std::min(wanted, backing_->size() - offset);
    SliceCursor cursor(to);
    if (there > 0) TRY_BLOCK(backing_->read(offset, cursor.take(there)));
    cursor.fill_zero(wanted - there);  // the disk was made larger than what it is backed by
    return BlockStatus::kOk;
}

BlockStatus DiskImage::map_chain(uint64_t offset, uint64_t size, ImageExtent& extent,
                                 DiskImage** layer) {
    DiskImage* image = this;
    for (;;) {
        if (layer != nullptr) *layer = image;
        TRY_BLOCK(image->map(offset, size, extent));
        if (extent.kind != ImageExtent::Kind::kBacking) return BlockStatus::kOk;
        size = extent.size;
        image = image->backing();
        if (image == nullptr || offset >= image->size()) {
            extent.kind = ImageExtent::Kind::kZero;
            if (layer != nullptr) *layer = nullptr;
            return BlockStatus::kOk;
        }
        size = std::min(size, image->size() - offset);
    }
}

bool DiskImage::backing_is_zero(uint64_t offset, uint64_t size) {
    while (backing_ != nullptr && size > 0 && offset < backing_->size()) {
        ImageExtent extent;
        const uint64_t part = std::min(size, backing_->size() - offset);
        if (backing_->map_chain(offset, part, extent, nullptr) != BlockStatus::kOk) return false;
        if (extent.kind != ImageExtent::Kind::kZero) return false;
        offset += extent.size;
        size -= extent.size;
    }
    return true;
}

}  // namespace mynah
