#include "backend/block/vhd/vhd_image.h"

#include <fmt/core.h>
#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "backend/block/image/byte_order.h"

namespace mynah {
namespace {

constexpr uint64_t kSector = 512;
constexpr uint32_t kNoBlock = 0xffffffff;
constexpr uint32_t kMaxEntries = 1u << 24;  // 32 TiB with the usual blocks; 64 MiB of memory
constexpr uint32_t kMaxLocator = 4096;

Error bad(const ImageFile& file, std::string_view what) {
    return image_error(file, fmt::format("is no usable VHD image: {}", what));
}

uint64_t bitmap_bytes(uint64_t block_size) { return align_up(block_size / kSector / 8, kSector); }

std::string hex(std::span<const std::byte> bytes) {
    std::string text;
    for (const std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<uint8_t>(byte));
    return text;
}

}  // namespace

Result<std::unique_ptr<DiskImage>> open_vhd(std::unique_ptr<ImageFile> file) {
    std::array<std::byte, VhdFooter::kBytes> bytes{};
    const uint64_t end = file->size();
    if (end < VhdFooter::kBytes) return bad(*file, "it is too short");
    TRY(expect_ok(*file, "read", file->read_bytes(end - VhdFooter::kBytes, bytes)));
    auto footer = VhdFooter::parse(bytes);
    if (!footer) {  // a crash may have cost it; dynamic ones have a copy in front
        TRY(expect_ok(*file, "read", file->read_bytes(0, bytes)));
        footer = VhdFooter::parse(bytes);
        if (!footer) return bad(*file, footer.error().message());
        if (footer.value().type == VhdFooter::Type::kFixed) return bad(*file, "it is cut short");
    }
    if (footer.value().type == VhdFooter::Type::kFixed) {
        if (footer.value().size > end - VhdFooter::kBytes) return bad(*file, "it is cut short");
        return std::unique_ptr<DiskImage>(
            std::make_unique<FixedVhdImage>(std::move(file), footer.value()));
    }
    std::array<std::byte, VhdDynamicHeader::kBytes> header_bytes{};
    const uint64_t at = footer.value().header_offset;
    if (at > end || end - at < header_bytes.size()) return bad(*file, "its header lies outside");
    TRY(expect_ok(*file, "read", file->read_bytes(at, header_bytes)));
    const auto header = VhdDynamicHeader::parse(header_bytes);
    if (!header) return bad(*file, header.error().message());
    auto image = std::make_unique<VhdImage>(std::move(file), footer.value(), header.value());
    TRY(image->load());
    return std::unique_ptr<DiskImage>(std::move(image));
}

Result<void> create_vhd(ImageFile& file, const VhdCreateOptions& options) {
    VhdFooter footer;
    footer.size = options.size;
    if (getrandom(footer.id.data(), 16, 0) != 16) return Error("the host gives no random numbers");
    if (options.fixed) {
        if (options.backing) return Error("a fixed VHD image cannot have a backing file");
        footer.type = VhdFooter::Type::kFixed;
        TRY(expect_ok(file, "made", file.truncate(options.size)));
        TRY(expect_ok(file, "written", file.write_bytes(options.size, footer.serialize())));
        return expect_ok(file, "written", file.flush());
    }
    VhdDynamicHeader header;
    footer.header_offset = VhdFooter::kBytes;
    header.table_offset = VhdFooter::kBytes + VhdDynamicHeader::kBytes;
    const uint64_t entries = (options.size + header.block_size - 1) / header.block_size;
    if (entries > kMaxEntries || options.size / kSector > UINT32_MAX)
        return Error("size: a VHD image has at most 2 TiB");
    header.entries = static_cast<uint32_t>(entries);
    uint64_t end = align_up(header.table_offset + entries * 4, kSector);
    std::vector<std::byte> name;
    if (options.backing) {
        footer.type = VhdFooter::Type::kDifferencing;
        header.parent_id = options.parent_id;
        header.parent_name = options.backing->path;
        name = utf16_of_utf8(options.backing->path, false);
        if (name.size() > kMaxLocator || name.size() > 500) return Error("the name of the backing file is too long");
        header.locators[0] = {kVhdRelativeWindows, 1, static_cast<uint32_t>(name.size()), end};
        end += kSector;
    }
    std::vector<std::byte> bytes(end + VhdFooter::kBytes);
    std::ranges::copy(footer.serialize(), bytes.begin());
    std::ranges::copy(header.serialize(), bytes.begin() + VhdFooter::kBytes);
    std::memset(&bytes[header.table_offset], 0xff, align_up(entries * 4, kSector));
    if (options.backing) std::ranges::copy(name, bytes.begin() + static_cast<ptrdiff_t>(header.locators[0].offset));
    std::ranges::copy(footer.serialize(), bytes.begin() + static_cast<ptrdiff_t>(end));
    TRY(expect_ok(file, "written", file.write_bytes(0, bytes)));
    return expect_ok(file, "written", file.flush());
}

BlockStatus FixedVhdImage::map(uint64_t offset, uint64_t size, ImageExtent& extent) {
    extent = {ImageExtent::Kind::kData, true, size, file_.get(), offset};
    return BlockStatus::kOk;
}
std::string FixedVhdImage::content_id() const { return hex(footer_.id); }

// The new footer is there before the old one is gone, when it grows.
Result<void> FixedVhdImage::resize(uint64_t new_size) {
    const uint64_t old_size = size_;
    footer_.size = new_size;
    TRY(expect_ok(*file_, "written", file_->write_bytes(new_size, footer_.serialize())));
    TRY(expect_ok(*file_, "written", file_->flush()));
    TRY(expect_ok(*file_, "written", file_->truncate(new_size + VhdFooter::kBytes)));
    if (new_size > old_size)
        TRY(expect_ok(*file_, "written",
                      file_->write_zeroes(old_size, std::min<uint64_t>(new_size - old_size, VhdFooter::kBytes), false)));
    size_ = new_size;
    return expect_ok(*file_, "written", file_->flush());
}

VhdImage::VhdImage(std::unique_ptr<ImageFile> file, const VhdFooter& footer,
                   const VhdDynamicHeader& header)
    : BlockTableImage(std::move(file), footer.size, std::max(header.block_size, 512u)),
      footer_(footer),
      header_(header),
      bitmap_bytes_(bitmap_bytes(header.block_size)) {}

VhdImage::~VhdImage() { flush_at_end(); }

Result<void> VhdImage::load() {
    const VhdDynamicHeader& header = header_;
    if (!std::has_single_bit(header.block_size) || header.block_size < 4096 ||
        header.block_size > (256u << 20))
        return bad(*file_, fmt::format("its blocks have {} bytes", header.block_size));
    if (header.entries > kMaxEntries || uint64_t{header.entries} * header.block_size < size_)
        return bad(*file_, fmt::format("{} blocks are no table for {} bytes", header.entries, size_));
    if (header.table_offset > file_->size() ||
        file_->size() - header.table_offset < header.entries * uint64_t{4})
        return bad(*file_, "its table lies beyond the end of the file");
    table_.resize(header.entries);
    std::vector<std::byte> bytes(table_.size() * 4);
    if (!bytes.empty()) TRY(expect_ok(*file_, "read", file_->read_bytes(header.table_offset, bytes)));
    end_ = align_up(header.table_offset + bytes.size(), kSector);
    end_ = std::max(end_, footer_.header_offset + VhdDynamicHeader::kBytes);
    for (size_t i = 0; i < table_.size(); ++i) {
        table_[i] = load_big<uint32_t>(&bytes[i * 4]);
        if (table_[i] == kNoBlock) continue;
        end_ = std::max(end_, table_[i] * kSector + bitmap_bytes_ + block_size_);
    }
    // A crash may have cost the footer, or left it where it is no more; the next flush writes it.
    std::array<std::byte, VhdFooter::kBytes> footer{};
    TRY(expect_ok(*file_, "read", file_->read_bytes(end_, footer)));
    if (!read_only() && !VhdFooter::parse(footer)) note_table_change();
    if (!differencing()) return {};
    full_.resize(table_.size());
    parent_ = header.parent_name;
    for (const auto& locator : header.locators) {
        if (locator.platform == 0) continue;
        if (locator.offset < uint64_t{1} << 50)
            end_ = std::max<uint64_t>(end_, align_up(locator.offset + locator.length, kSector));
        if (locator.platform != kVhdRelativeWindows || locator.length > kMaxLocator) continue;
        std::vector<std::byte> text(locator.length);
        TRY(expect_ok(*file_, "read", file_->read_bytes(locator.offset, text)));
        parent_ = utf8_of_utf16(text, false);
        std::ranges::replace(parent_, '\\', '/');
        if (parent_.starts_with("./")) parent_.erase(0, 2);
    }
    if (parent_.empty()) return bad(*file_, "it does not say what it is the difference from");
    return {};
}

std::vector<std::pair<std::string, std::string>> VhdImage::details() const {
    return {{"subformat", differencing() ? "differencing" : "dynamic"}};
}
std::string VhdImage::content_id() const { return hex(footer_.id); }
std::optional<BackingReference> VhdImage::backing_reference() const {
    if (!differencing()) return std::nullopt;
    return BackingReference{parent_, "vhd"};
}
Result<void> VhdImage::check_backing(DiskImage& backing) {
    if (backing.content_id() == hex(header_.parent_id)) return {};
    return image_error(*file_, fmt::format("its backing file {} is not the one it was made over",
                                           backing.file().name()));
}

BlockStatus VhdImage::find_block(uint64_t block, Place& place) {
    const uint32_t sector = table_[block];
    if (sector == kNoBlock) {
        place.kind = differencing() ? Place::Kind::kNone : Place::Kind::kZero;
        return BlockStatus::kOk;
    }
    const bool full = !differencing() || full_[block];
    place = {full ? Place::Kind::kData : Place::Kind::kPartial, sector * kSector + bitmap_bytes_};
    return BlockStatus::kOk;
}

// Bits of a bitmap are counted from the highest down; set: the sector is here.
BlockStatus VhdImage::map_partial(const Place& place, uint64_t, uint64_t within, uint64_t size,
                                  ImageExtent& extent) {
    const uint64_t first = within / kSector, last = (within + size - 1) / kSector;
    std::vector<std::byte> bits(last / 8 - first / 8 + 1);
    TRY_BLOCK(file_->read_bytes(place.offset - bitmap_bytes_ + first / 8, bits));
    const auto here = [&](uint64_t sector) {
        const auto byte = static_cast<uint8_t>(bits[sector / 8 - first / 8]);
        return (byte >> (7 - sector % 8) & 1) != 0;
    };
    const bool present = here(first);
    uint64_t sector = first;
    while (sector <= last && here(sector) == present) ++sector;
    extent.size = std::min(size, sector * kSector - within);
    extent.kind = present ? ImageExtent::Kind::kData : ImageExtent::Kind::kBacking;
    extent.file = file_.get();
    extent.file_offset = place.offset + within;
    extent.in_place = present && prepared();
    return BlockStatus::kOk;
}

BlockStatus VhdImage::allocate_block(uint64_t& offset) {
    if (end_ / kSector >= kNoBlock) return BlockStatus::kNoSpace;
    const uint64_t end = end_ + bitmap_bytes_ + block_size_;
    // The file always ends with a footer: a guest's bytes must never be taken for one.
    TRY_BLOCK(file_->write_bytes(end, footer_.serialize()));
    offset = end_ + bitmap_bytes_;
    end_ = end;
    return BlockStatus::kOk;
}

BlockStatus VhdImage::link_block(uint64_t block, uint64_t offset) {
    new_bitmaps_.push_back(offset - bitmap_bytes_);
    if (differencing()) full_[block] = true;
    table_[block] = static_cast<uint32_t>((offset - bitmap_bytes_) / kSector);
    changed_first_ = std::min<size_t>(changed_first_, block);
    changed_end_ = std::max<size_t>(changed_end_, block + 1);
    return BlockStatus::kOk;
}

// Bitmaps and the footer at its new place, and only then the table.
BlockStatus VhdImage::write_tables() {
    const std::vector<std::byte> ones(bitmap_bytes_, std::byte{0xff});
    for (const uint64_t place : new_bitmaps_) TRY_BLOCK(file_->write_bytes(place, ones));
    new_bitmaps_.clear();
    TRY_BLOCK(file_->write_bytes(end_, footer_.serialize()));
    TRY_BLOCK(file_->flush());
    if (changed_first_ >= changed_end_) return BlockStatus::kOk;
    std::vector<std::byte> bytes((changed_end_ - changed_first_) * 4);
    for (size_t i = changed_first_; i < changed_end_; ++i)
        store_big<uint32_t>(&bytes[(i - changed_first_) * 4], table_[i]);
    TRY_BLOCK(file_->write_bytes(header_.table_offset + changed_first_ * 4, bytes));
    changed_first_ = SIZE_MAX;
    changed_end_ = 0;
    return BlockStatus::kOk;
}

CheckReport VhdImage::check(Repair) {
    CheckReport report;
    report.total_clusters = table_.size();
    std::vector<uint64_t> places;
    for (size_t i = 0; i < table_.size(); ++i) {
        if (table_[i] == kNoBlock) continue;
        ++report.allocated_clusters;
        places.push_back(table_[i]);
        if (table_[i] * kSector + bitmap_bytes_ >= file_->size()) {
            ++report.corruptions;
            report.say(fmt::format("ERROR block {} lies beyond the end of the file", i));
        }
    }
    std::ranges::sort(places);
    for (size_t i = 0; i < places.size(); ++i) {
        const uint64_t before = i == 0 ? align_up(header_.table_offset + table_.size() * 4, kSector) / kSector
                                       : places[i - 1] + (bitmap_bytes_ + block_size_) / kSector;
        if (places[i] >= before) continue;
        ++report.corruptions;
        report.say(fmt::format("ERROR the block at sector {} overlaps another or the table", places[i]));
    }
    report.image_end_offset = end_ + VhdFooter::kBytes;
    return report;
}

}  // namespace mynah
