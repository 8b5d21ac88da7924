#include <fmt/core.h>

#include <algorithm>

#include "backend/block/image/byte_order.h"
#include "backend/block/qcow2/qcow2_image.h"

// Rewriting the header: size, first level, feature bits, backing file, bitmaps.
namespace mynah {

using namespace qcow2;

namespace {

constexpr uint64_t kMaxBitmapDirectory = 64 << 20;
constexpr uint64_t kBitmapEntryBytes = 24;
constexpr uint32_t kBitmapInUse = 1, kBitmapAuto = 2;

}  // namespace

BlockStatus Qcow2Image::write_feature_bits() {
    if (header_.version < 3) return BlockStatus::kOk;
    std::byte field[24];
    store_big<uint64_t>(field, header_.incompatible);
    store_big<uint64_t>(field + 8, header_.compatible);
    store_big<uint64_t>(field + 16, header_.autoclear);
    TRY_BLOCK(file_->write_bytes(kFeaturesField, field));
    return file_->flush();
}

BlockStatus Qcow2Image::set_dirty(bool dirty) {
    if (header_.version < 3) return BlockStatus::kOk;  // version 2 cannot say it
    header_.incompatible = (header_.incompatible & ~kDirty) | (dirty ? kDirty : 0);
    return write_feature_bits();
}

Result<void> Qcow2Image::set_backing_reference(const std::optional<BackingReference>& backing) {
    if (data_file_ && (header_.autoclear & kRawExternalData) != 0 && backing)
        return cannot("have a backing file when its data file is raw");
    Qcow2Header changed = header_;
    changed.backing = backing;
    auto bytes = changed.serialize();
    if (!bytes) return Error(file_->name() + ": " + bytes.error().message());
    TRY(expect_ok(*file_, "written", flush()));
    TRY(expect_ok(*file_, "written", file_->write_bytes(0, bytes.value())));
    TRY(expect_ok(*file_, "written", file_->flush()));
    header_ = std::move(changed);
    return {};
}

// A new first level at a new place; the header's change of mind is one small write.
Result<void> Qcow2Image::replace_l1(std::vector<uint64_t> l1) {
    const auto sure = [this](BlockStatus status) { return expect_ok(*file_, "written", status); };
    if (l1.size() > kMaxL1Bytes / 8) return cannot("be so large with clusters of this size");
    std::vector<std::byte> bytes(align_up(std::max<uint64_t>(l1.size() * 8, 1), cluster_size()));
    for (size_t i = 0; i < l1.size(); ++i) store_big<uint64_t>(&bytes[i * 8], l1[i]);
    TRY(sure(commit()));
    uint64_t first = 0;
    TRY(sure(refcounts_.allocate(bytes.size() >> header_.cluster_bits, first)));
    TRY(sure(refcounts_.write()));
    TRY(sure(file_->write_bytes(first << header_.cluster_bits, bytes)));
    TRY(sure(file_->flush()));
    const uint64_t old_clusters =
        (uint64_t{header_.l1_entries} * 8 + cluster_size() - 1) >> header_.cluster_bits;
    const uint64_t old_first = header_.l1_offset >> header_.cluster_bits;
    std::byte field[12];
    store_big<uint32_t>(field, static_cast<uint32_t>(l1.size()));
    store_big<uint64_t>(field + 4, first << header_.cluster_bits);
    if (const BlockStatus status = file_->write_bytes(kL1Field, field);
        status != BlockStatus::kOk) {
        refcounts_.refuse_changes();
        return sure(status);
    }
    header_.l1_entries = static_cast<uint32_t>(l1.size());
    header_.l1_offset = first << header_.cluster_bits;
    TRY(sure(file_->flush()));
    if (old_first != 0) refcounts_.free_later(old_first, old_clusters);
    l1_ = std::move(l1);
    l1_first_ = SIZE_MAX;
    l1_end_ = 0;
    return {};
}

Result<void> Qcow2Image::shrink(uint64_t new_size) {
    const auto sure = [this](BlockStatus status) { return expect_ok(*file_, "written", status); };
    // What is left of the last cluster must be zeroes should the disk ever grow again.
    const uint64_t whole = std::min(align_up(new_size, cluster_size()), size_);
    if (whole > new_size) TRY(sure(zero_part(new_size, whole - new_size)));
    const uint64_t end = align_up(size_, cluster_size());
    for (uint64_t at = whole; at < end;) {
        const uint64_t part = std::min(end, align_down(at, table_span()) + table_span()) - at;
        TRY(sure(clear_clusters(at, part >> header_.cluster_bits, true, true, true)));
        at += part;
    }
    return {};
}

// Whoever made the disk smaller may have left what was behind its end in the last cluster, as QEMU
// does; it must not come back.
BlockStatus Qcow2Image::clear_tail(uint64_t new_size) {
    const uint64_t end = std::min(align_up(size_, cluster_size()), new_size);
    for (uint64_t at = size_; at < end;) {
        ImageExtent extent;
        TRY_BLOCK(map(at, end - at, extent));
        if (extent.kind == ImageExtent::Kind::kData || extent.kind == ImageExtent::Kind::kEncoded)
            TRY_BLOCK(zero_part(at, extent.size));
        at += extent.size;
    }
    return BlockStatus::kOk;
}

Result<void> Qcow2Image::make_empty() {
    TRY(shrink(0));
    return expect_ok(*file_, "written", flush());
}

Result<void> Qcow2Image::resize(uint64_t new_size) {
    const auto sure = [this](BlockStatus status) { return expect_ok(*file_, "written", status); };
    if (read_only()) return image_error(*file_, "resized", BlockStatus::kReadOnly);
    if (header_.version < 3 && !snapshots_.empty())
        return cannot("be resized when it is of version 2 and has snapshots");
    if (header_.bitmaps) return cannot("be resized while it has bitmaps");
    const uint64_t old_size = size_, entries = header_.l1_entries_for(new_size);
    if (new_size > uint64_t{INT64_MAX} - cluster_size() || entries > kMaxL1Bytes / 8)
        return cannot("be so large with clusters of this size");
    if (new_size < old_size) TRY(shrink(new_size));
    if (entries > header_.l1_entries) {
        std::vector<uint64_t> longer = l1_;
        longer.resize(entries);
        TRY(replace_l1(std::move(longer)));
    }
    if (data_file_) TRY(sure(data_file_->truncate(new_size)));
    if (new_size > old_size) TRY(sure(clear_tail(new_size)));
    TRY(sure(flush()));
    header_.size = size_ = new_size;
    std::byte field[8];
    store_big<uint64_t>(field, new_size);
    TRY(sure(file_->write_bytes(kSizeField, field)));
    // What was added is zero, also where a larger image lies below.
    if (new_size > old_size && !backing_is_zero(old_size, new_size - old_size))
        TRY(sure(write_zeroes(old_size, new_size - old_size, true)));
    return sure(flush());
}

// Those that follow the disk's changes do not from now on [qcow2, "Bitmap directory", in_use].
BlockStatus Qcow2Image::distrust_bitmaps() {
    if ((header_.autoclear & kBitmapsConsistent) == 0) return BlockStatus::kOk;
    const Qcow2Bitmaps& bitmaps = *header_.bitmaps;
    bool good = bitmaps.directory_size <= kMaxBitmapDirectory;
    std::vector<std::byte> directory(good ? bitmaps.directory_size : 0);
    if (good) TRY_BLOCK(file_->read_bytes(bitmaps.directory_offset, directory));
    uint64_t at = 0;
    for (uint32_t i = 0; good && i < bitmaps.count; ++i) {
        good = at + kBitmapEntryBytes <= directory.size();
        if (!good) break;
        std::byte* entry = &directory[at];
        const uint32_t flags = load_big<uint32_t>(entry + 12);
        if ((flags & kBitmapAuto) != 0) store_big<uint32_t>(entry + 12, flags | kBitmapInUse);
        at = align_up(at + kBitmapEntryBytes + load_big<uint32_t>(entry + 20) +
                          load_big<uint16_t>(entry + 18), 8);
    }
    if (good) {
        TRY_BLOCK(file_->write_bytes(bitmaps.directory_offset, directory));
        return file_->flush();
    }
    header_.autoclear &= ~kBitmapsConsistent;
    return write_feature_bits();
}

}  // namespace mynah
