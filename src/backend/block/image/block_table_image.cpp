#include "backend/block/image/block_table_image.h"

#include <algorithm>

#include "base/log.h"

namespace mynah {
namespace {

constexpr uint64_t kChunk = 1 << 20;

}  // namespace

BlockTableImage::BlockTableImage(std::unique_ptr<ImageFile> file, uint64_t size,
                                 uint64_t block_size)
    : DiskImage(size), file_(std::move(file)), block_size_(block_size) {}

BlockStatus BlockTableImage::damaged(const char* what, uint64_t number) const {
    log(LogLevel::kError, "{}: damaged: {} {}", file_->name(), what, number);
    return BlockStatus::kIoError;
}

BlockStatus BlockTableImage::map_partial(const Place&, uint64_t block, uint64_t, uint64_t,
                                         ImageExtent&) {
    return damaged("block", block);
}

BlockStatus BlockTableImage::map(uint64_t offset, uint64_t size, ImageExtent& extent) {
    uint64_t block = offset / block_size_;
    const uint64_t within = offset % block_size_;
    Place place;
    TRY_BLOCK(find_block(block, place));
    uint64_t found = std::min(size, block_size_ - within);
    extent = {ImageExtent::Kind::kBacking, false, found, nullptr, 0};
    if (place.kind == Place::Kind::kPartial)
        return map_partial(place, block, within, found, extent);
    if (place.kind == Place::Kind::kData)
        extent = {ImageExtent::Kind::kData, prepared_, found, file_.get(), place.offset + within};
    if (place.kind == Place::Kind::kZero) extent.kind = ImageExtent::Kind::kZero;
    // Blocks that continue the first.
    while (found < size) {
        Place next;
        TRY_BLOCK(find_block(++block, next));
        if (next.kind != place.kind) break;
        if (place.kind == Place::Kind::kData && next.offset != extent.file_offset + found) break;
        found += std::min(size - found, block_size_);
    }
    extent.size = found;
    return BlockStatus::kOk;
}

BlockStatus BlockTableImage::write(uint64_t offset, std::span<const std::byte> from) {
    if (read_only()) return BlockStatus::kReadOnly;
    if (!prepared_) TRY_BLOCK(prepare_write());
    prepared_ = true;
    while (!from.empty()) {
        const uint64_t within = offset % block_size_;
        const uint64_t part = std::min<uint64_t>(from.size(), block_size_ - within);
        TRY_BLOCK(write_block(offset / block_size_, within, from.first(part)));
        offset += part;
        from = from.subspan(part);
    }
    return BlockStatus::kOk;
}

BlockStatus BlockTableImage::write_block(uint64_t block, uint64_t within,
                                         std::span<const std::byte> from) {
    Place place;
    TRY_BLOCK(find_block(block, place));
    if (place.kind == Place::Kind::kData) return file_->write_bytes(place.offset + within, from);
    if (place.kind == Place::Kind::kPartial) {
        TRY_BLOCK(fill_block(block, place.offset, true));
    } else {
        // Room that was taken for a write that failed is used first, or every retry would take more.
        if (spare_)
            place.offset = *spare_;
        else
            TRY_BLOCK(allocate_block(place.offset));
        spare_ = place.offset;
        const bool below = place.kind == Place::Kind::kNone;
        TRY_BLOCK(clear_block(block, place.offset, from.size(), below));
    }
    TRY_BLOCK(file_->write_bytes(place.offset + within, from));
    tables_changed_ = true;
    spare_.reset();
    return link_block(block, place.offset);
}

// A new block holds what shows through where `written` bytes of it do not cover it.
BlockStatus BlockTableImage::clear_block(uint64_t block, uint64_t at, uint64_t written, bool below) {
    const uint64_t start = block * block_size_;
    const uint64_t length = std::min(block_size_, size_ - start);
    // What an earlier run left behind the end must not show through.
    if (written < block_size_) TRY_BLOCK(file_->write_zeroes(at, block_size_, true));
    if (below && written < length && !backing_is_zero(start, length))
        TRY_BLOCK(fill_block(block, at, false));
    return BlockStatus::kOk;
}

// Copies what the block shows now to the place `to`; `missing_only`: that which is not there yet.
BlockStatus BlockTableImage::fill_block(uint64_t block, uint64_t to, bool missing_only) {
    const uint64_t start = block * block_size_;
    const uint64_t length = std::min(block_size_, size_ - start);
    std::vector<std::byte> bytes;
    for (uint64_t at = 0; at < length;) {
        ImageExtent extent;
        TRY_BLOCK(map(start + at, length - at, extent));
        const uint64_t part = std::min(extent.size, kChunk);
        if (!missing_only || extent.kind != ImageExtent::Kind::kData) {
            bytes.resize(part);
            TRY_BLOCK(read_bytes(start + at, bytes));
            TRY_BLOCK(file_->write_bytes(to + at, bytes));
        }
        at += part;
    }
    return BlockStatus::kOk;
}

BlockStatus BlockTableImage::flush() {
    if (read_only()) return BlockStatus::kOk;
    if (tables_changed_) {
        TRY_BLOCK(file_->flush());
        TRY_BLOCK(write_tables());
        tables_changed_ = false;
    }
    return file_->flush();
}

}  // namespace mynah
