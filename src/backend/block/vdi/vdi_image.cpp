#include "backend/block/vdi/vdi_image.h"

#include <fmt/core.h>
#include <sys/random.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "backend/block/image/byte_order.h"

namespace mynah {
namespace {

// [VDI, "VDIPREHEADER, VDIHEADER1PLUS"]; little-endian.
constexpr uint64_t kHeaderBytes = 512;
constexpr uint32_t kSignature = 0xbeda107f, kVersion = 0x00010001;
constexpr uint32_t kDynamic = 1, kFixed = 2;
constexpr size_t kSignatureAt = 0x40, kVersionAt = 0x44, kSizeAt = 0x48, kTypeAt = 0x4c,
                 kTableAt = 0x154, kDataAt = 0x158, kSectorAt = 0x168, kDiskSizeAt = 0x170,
                 kBlockSizeAt = 0x178, kBlocksAt = 0x180, kAllocatedAt = 0x184, kUuidAt = 0x188,
                 kLinkAt = 0x1a8, kParentAt = 0x1b8;
constexpr uint32_t kHeaderSize = 0x180;
constexpr uint64_t kBlockSize = 1 << 20;
constexpr uint32_t kNoBlock = 0xffffffff, kZeroBlock = 0xfffffffe;
// The largest table that is read into memory: 256 MiB, for 64 TiB.
constexpr uint32_t kMaxBlocks = 1u << 26;

Error bad(const ImageFile& file, std::string_view what) {
    return image_error(file, fmt::format("is no usable VDI image: {}", what));
}

}  // namespace

VdiImage::VdiImage(std::unique_ptr<ImageFile> file, uint64_t size, uint64_t block_size)
    : BlockTableImage(std::move(file), size, block_size) {}

VdiImage::~VdiImage() { flush_at_end(); }

Result<std::unique_ptr<VdiImage>> VdiImage::open(std::unique_ptr<ImageFile> file) {
    std::byte header[kHeaderBytes];
    TRY(expect_ok(*file, "read", file->read_bytes(0, header)));
    if (load_little<uint32_t>(header + kSignatureAt) != kSignature)
        return bad(*file, "it does not begin as one");
    if (const uint32_t version = load_little<uint32_t>(header + kVersionAt); version != kVersion)
        return bad(*file, fmt::format("its version is {}.{}; expected 1.1", version >> 16,
                                      version & 0xffff));
    const uint32_t type = load_little<uint32_t>(header + kTypeAt);
    if (type != kDynamic && type != kFixed)
        return bad(*file, fmt::format("its type is {}; expected dynamic or fixed", type));
    const uint64_t size = load_little<uint64_t>(header + kDiskSizeAt);
    const uint32_t block_size = load_little<uint32_t>(header + kBlockSizeAt);
    const uint32_t blocks = load_little<uint32_t>(header + kBlocksAt);
    if (block_size != kBlockSize) return bad(*file, "its blocks are not of 1 MiB");
    if (load_little<uint32_t>(header + kSectorAt) != 512)
        return bad(*file, "its sectors are not of 512 bytes");
    if (blocks > kMaxBlocks || size > uint64_t{blocks} * block_size)
        return bad(*file, fmt::format("{} blocks are no table for {} bytes", blocks, size));
    for (size_t i = kLinkAt; i < kParentAt + 16; ++i)
        if (header[i] != std::byte{0}) return bad(*file, "it is based on another image");
    std::unique_ptr<VdiImage> image(new VdiImage(std::move(file), size, block_size));
    image->table_.resize(blocks);
    TRY(image->load(header));
    return image;
}

Result<void> VdiImage::load(std::span<const std::byte> header) {
    table_offset_ = load_little<uint32_t>(&header[kTableAt]);
    data_offset_ = load_little<uint32_t>(&header[kDataAt]);
    allocated_ = load_little<uint32_t>(&header[kAllocatedAt]);
    if (table_offset_ < kHeaderBytes || data_offset_ < table_offset_ + table_.size() * 4)
        return bad(*file_, "its table overlaps something else");
    if (table_offset_ + table_.size() * 4 > align_up(file_->size(), kBlockSize))
        return bad(*file_, "its table lies beyond the end of the file");
    if (allocated_ > kMaxBlocks) return bad(*file_, "it claims too many blocks");
    std::vector<std::byte> bytes(table_.size() * 4);
    if (!bytes.empty()) TRY(expect_ok(*file_, "read", file_->read_bytes(table_offset_, bytes)));
    std::vector<bool> used(allocated_);
    for (size_t i = 0; i < table_.size(); ++i) {
        table_[i] = load_little<uint32_t>(&bytes[i * 4]);
        if (table_[i] >= kZeroBlock) continue;
        // A place in use must not be given out.
        if (table_[i] >= kMaxBlocks) continue;  // met, and refused, when it is read
        if (table_[i] >= used.size()) used.resize(table_[i] + size_t{1});
        used[table_[i]] = true;
    }
    allocated_ = static_cast<uint32_t>(used.size());
    // What a crash left without an owner.
    while (allocated_ > 0 && !used[allocated_ - 1]) --allocated_;
    for (uint32_t i = allocated_; i > 0; --i)
        if (!used[i - 1]) unused_.push_back(i - 1);
    return {};
}

BlockStatus VdiImage::find_block(uint64_t block, Place& place) {
    const uint32_t entry = table_[block];
    if (entry >= kZeroBlock) {
        place.kind = Place::Kind::kZero;
        return BlockStatus::kOk;
    }
    if (entry >= kMaxBlocks) return damaged("entry of block", block);
    place = {Place::Kind::kData, data_offset_ + uint64_t{entry} * block_size_};
    return BlockStatus::kOk;
}

BlockStatus VdiImage::allocate_block(uint64_t& offset) {
    if (allocated_ >= kMaxBlocks) return BlockStatus::kNoSpace;
    uint32_t place = allocated_;
    if (unused_.empty()) {
        ++allocated_;
        count_changed_ = true;
    } else {
        place = unused_.back();
        unused_.pop_back();
    }
    offset = data_offset_ + uint64_t{place} * block_size_;
    return BlockStatus::kOk;
}

BlockStatus VdiImage::link_block(uint64_t block, uint64_t offset) {
    table_[block] = static_cast<uint32_t>((offset - data_offset_) / block_size_);
    changed_first_ = std::min<size_t>(changed_first_, block);
    changed_end_ = std::max<size_t>(changed_end_, block + 1);
    return BlockStatus::kOk;
}

// The count goes first: a count that is too high only loses space.
BlockStatus VdiImage::write_tables() {
    if (count_changed_) {
        std::byte field[4];
        store_little<uint32_t>(field, allocated_);
        TRY_BLOCK(file_->write_bytes(kAllocatedAt, field));
        TRY_BLOCK(file_->flush());
        count_changed_ = false;
    }
    if (changed_first_ >= changed_end_) return BlockStatus::kOk;
    std::vector<std::byte> bytes((changed_end_ - changed_first_) * 4);
    for (size_t i = changed_first_; i < changed_end_; ++i)
        store_little<uint32_t>(&bytes[(i - changed_first_) * 4], table_[i]);
    TRY_BLOCK(file_->write_bytes(table_offset_ + changed_first_ * 4, bytes));
    changed_first_ = SIZE_MAX;
    changed_end_ = 0;
    return BlockStatus::kOk;
}

Result<void> VdiImage::create(ImageFile& file, uint64_t size, bool fixed) {
    const uint64_t blocks = (size + kBlockSize - 1) / kBlockSize;
    if (blocks > kMaxBlocks) return Error(fmt::format("size: a VDI image has at most {} TiB", kMaxBlocks >> 20));
    const uint64_t data = align_up(kHeaderBytes + blocks * 4, 512);
    std::vector<std::byte> bytes(data);
    std::byte* at = bytes.data();
    constexpr std::string_view kText = "<<< Oracle VM VirtualBox Disk Image >>>\n";
    std::memcpy(at, kText.data(), kText.size());
    store_little<uint32_t>(at + kSignatureAt, kSignature);
    store_little<uint32_t>(at + kVersionAt, kVersion);
    store_little<uint32_t>(at + kSizeAt, kHeaderSize);
    store_little<uint32_t>(at + kTypeAt, fixed ? kFixed : kDynamic);
    store_little<uint32_t>(at + kTableAt, kHeaderBytes);
    store_little<uint32_t>(at + kDataAt, static_cast<uint32_t>(data));
    store_little<uint32_t>(at + kSectorAt, 512);
    store_little<uint64_t>(at + kDiskSizeAt, size);
    store_little<uint32_t>(at + kBlockSizeAt, kBlockSize);
    store_little<uint32_t>(at + kBlocksAt, static_cast<uint32_t>(blocks));
    store_little<uint32_t>(at + kAllocatedAt, fixed ? static_cast<uint32_t>(blocks) : 0);
    if (getrandom(at + kUuidAt, 32, 0) != 32) return Error("the host gives no random numbers");
    for (uint64_t i = 0; i < blocks; ++i)
        store_little<uint32_t>(at + kHeaderBytes + i * 4, fixed ? static_cast<uint32_t>(i) : kNoBlock);
    TRY(expect_ok(file, "written", file.write_bytes(0, bytes)));
    if (fixed) TRY(expect_ok(file, "written", file.truncate(data + blocks * kBlockSize)));
    return expect_ok(file, "written", file.flush());
}

// Up to what the table has room for, as data follows it at once.
Result<void> VdiImage::resize(uint64_t new_size) {
    const uint64_t blocks = (new_size + kBlockSize - 1) / kBlockSize;
    if (new_size < size_) return cannot("be made smaller");
    if (table_offset_ + blocks * 4 > data_offset_)
        return cannot("be made so large: its table has no room; expected mynah image convert");
    TRY(expect_ok(*file_, "written", flush()));
    const size_t before = table_.size();
    table_.resize(blocks, kNoBlock);
    if (blocks > before) {
        changed_first_ = before;
        changed_end_ = blocks;
        TRY(expect_ok(*file_, "written", write_tables()));
        TRY(expect_ok(*file_, "written", file_->flush()));
    }
    std::byte field[8];
    store_little<uint64_t>(field, new_size);
    TRY(expect_ok(*file_, "written", file_->write_bytes(kDiskSizeAt, field)));
    store_little<uint32_t>(field, static_cast<uint32_t>(blocks));
    TRY(expect_ok(*file_, "written",
                  file_->write_bytes(kBlocksAt, std::span(field).first(4))));
    size_ = new_size;
    return expect_ok(*file_, "written", file_->flush());
}

CheckReport VdiImage::check(Repair repair) {
    CheckReport report;
    report.total_clusters = table_.size();
    std::vector<bool> used;
    for (size_t i = 0; i < table_.size(); ++i) {
        const uint32_t entry = table_[i];
        if (entry >= kZeroBlock) continue;
        ++report.allocated_clusters;
        const uint64_t end = data_offset_ + (uint64_t{entry} + 1) * block_size_;
        if (entry >= kMaxBlocks || data_offset_ + uint64_t{entry} * block_size_ > file_->size()) {
            ++report.corruptions;
            report.say(fmt::format("ERROR block {} lies beyond the end of the file", i));
            continue;
        }
        report.image_end_offset = std::max(report.image_end_offset, end);
        if (entry >= used.size()) used.resize(entry + size_t{1});
        if (used[entry]) {
            ++report.corruptions;
            report.say(fmt::format("ERROR block {} shares its place with another", i));
        }
        used[entry] = true;
    }
    std::byte field[4];
    if (file_->read_bytes(kAllocatedAt, field) != BlockStatus::kOk) ++report.check_errors;
    const uint32_t claimed = load_little<uint32_t>(field);
    if (claimed < report.allocated_clusters) {
        ++report.corruptions;
        report.say(fmt::format("ERROR the header counts {} blocks of {}", claimed,
                               report.allocated_clusters));
    }
    if (claimed > report.allocated_clusters) report.leaks += claimed - report.allocated_clusters;
    // Right where all places are in use; else they are used next.
    if (repair != Repair::kNothing && claimed != allocated_) {
        store_little<uint32_t>(field, allocated_);
        if (file_->write_bytes(kAllocatedAt, field) != BlockStatus::kOk ||
            file_->flush() != BlockStatus::kOk)
            ++report.check_errors;
        else if (claimed > allocated_)
            report.leaks_fixed += claimed - allocated_;
        else if (claimed < report.allocated_clusters)
            ++report.corruptions_fixed;
    }
    return report;
}

}  // namespace mynah
