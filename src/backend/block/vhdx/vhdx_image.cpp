#include "backend/block/vhdx/vhdx_image.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "backend/block/image/byte_order.h"

namespace mynah {

using namespace vhdx;

namespace {

constexpr uint64_t kSectorsPerBitmap = uint64_t{1} << 23;  // a bitmap block has 1 MiB
constexpr uint64_t kEntriesPerSector = kSector / 8;

Error bad(const ImageFile& file, std::string_view what) {
    return image_error(file, fmt::format("is no usable VHDX image: {}", what));
}

uint64_t table_entries(uint64_t size, uint64_t block_size, uint64_t ratio, bool has_parent) {
    const uint64_t blocks = (size + block_size - 1) / block_size;
    if (blocks == 0) return 0;
    if (has_parent) return (blocks + ratio - 1) / ratio * (ratio + 1);
    return blocks + (blocks - 1) / ratio;
}

}  // namespace

VhdxImage::VhdxImage(std::unique_ptr<ImageFile> file, const Header& header, unsigned which,
                     const Metadata& metadata, const Region& table)
    : BlockTableImage(std::move(file), metadata.size, metadata.block_size),
      header_(header),
      which_(which),
      metadata_(metadata),
      region_(table),
      chunk_ratio_(kSectorsPerBitmap * metadata.logical_sector / metadata.block_size),
      log_(*file_, header) {}

// With nothing in the log, which others need not replay then.
VhdxImage::~VhdxImage() {
    if (!flush_at_end() || !writing_) return;
    header_.log = {};
    update_header();
}

Result<std::unique_ptr<VhdxImage>> VhdxImage::open(std::unique_ptr<ImageFile> file) {
    unsigned which = 0;
    Header header = TRY(read_header(*file, which));
    VhdxLog log(*file, header);
    VhdxLog::Sectors pending;
    if (file->read_only()) {
        pending = TRY(log.pending());
    } else {
        bool changed = false;
        TRY(log.replay(changed));
    }
    Region table, metadata_region;
    TRY(read_regions(*file, table, metadata_region));
    const Metadata metadata = TRY(read_metadata(*file, metadata_region));
    std::unique_ptr<VhdxImage> image(
        new VhdxImage(std::move(file), header, which, metadata, table));
    TRY(image->load(pending));
    return image;
}

Result<void> VhdxImage::load(const VhdxLog::Sectors& pending) {
    const uint64_t entries =
        table_entries(size_, block_size_, chunk_ratio_, metadata_.has_parent);
    if (entries * 8 > region_.length)
        return bad(*file_, fmt::format("its table is too short for a disk of {} bytes", size_));
    if (region_.offset + entries * 8 > align_up(file_->size(), kMegabyte))
        return bad(*file_, "its table lies beyond the end of the file");
    std::vector<std::byte> bytes(align_up(entries * 8, kSector));
    if (!bytes.empty()) TRY(expect_ok(*file_, "read", file_->read_bytes(region_.offset, bytes)));
    for (const auto& [place, content] : pending)
        if (place >= region_.offset && place - region_.offset < bytes.size())
            std::memcpy(&bytes[place - region_.offset], content.data(), kSector);
    table_.resize(entries);
    end_ = std::max<uint64_t>({kMegabyte, region_.offset + region_.length,
                               header_.log_offset + header_.log_length,
                               align_up(file_->size(), kMegabyte)});
    for (uint64_t i = 0; i < entries; ++i) {
        table_[i] = load_little<uint64_t>(&bytes[i * 8]);
        const uint64_t offset = table_[i] & vhdx::kOffsetMask;
        if ((table_[i] & kStateMask) >= kFullyPresent && offset < uint64_t{1} << 56)
            end_ = std::max(end_, offset + block_size_);
    }
    return {};
}

std::vector<std::pair<std::string, std::string>> VhdxImage::details() const {
    return {{"subformat", metadata_.has_parent        ? "differencing"
                          : metadata_.leave_allocated ? "fixed"
                                                      : "dynamic"},
            {"log size", std::to_string(header_.log_length)},
            {"logical sector size", std::to_string(metadata_.logical_sector)}};
}

std::optional<BackingReference> VhdxImage::backing_reference() const {
    if (!metadata_.has_parent) return std::nullopt;
    std::string path = metadata_.parent_path;
    std::ranges::replace(path, '\\', '/');
    if (path.starts_with("./")) path.erase(0, 2);
    return BackingReference{path, "vhdx"};
}

Result<void> VhdxImage::check_backing(DiskImage& backing) {
    const auto lower = [](std::string text) {
        std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
        return text;
    };
    if (lower(metadata_.parent_linkage) == lower(backing.content_id())) return {};
    return image_error(*file_, fmt::format("its backing file {} is not what it was when this was "
                                           "made over it", backing.file().name()));
}

BlockStatus VhdxImage::find_block(uint64_t block, Place& place) {
    const uint64_t entry = table_[entry_index(block)];
    place.offset = entry & vhdx::kOffsetMask;
    switch (entry & kStateMask) {
        case kNotPresent:
            place.kind = metadata_.has_parent ? Place::Kind::kNone : Place::Kind::kZero;
            return BlockStatus::kOk;
        case kUndefined:
        case kZero:
        case kUnmapped:
            place.kind = Place::Kind::kZero;
            return BlockStatus::kOk;
        case kFullyPresent:
            place.kind = Place::Kind::kData;
            break;
        case kPartiallyPresent:
            if (!metadata_.has_parent) return damaged("entry of block", block);
            place.kind = Place::Kind::kPartial;
            break;
        default:
            return damaged("entry of block", block);
    }
    // The first MiB is the headers'.
    if (place.offset < kMegabyte || place.offset > uint64_t{1} << 56)
        return damaged("entry of block", block);
    return BlockStatus::kOk;
}

// 2.5.2: a bit for each sector, from the lowest up; set: it is here.
BlockStatus VhdxImage::map_partial(const Place& place, uint64_t block, uint64_t within,
                                   uint64_t size, ImageExtent& extent) {
    const uint64_t chunk = block / chunk_ratio_;
    const uint64_t bitmap_index = chunk * (chunk_ratio_ + 1) + chunk_ratio_;
    if (bitmap_index >= table_.size() || (table_[bitmap_index] & kStateMask) != kFullyPresent)
        return damaged("sector bitmap of block", block);
    const uint64_t unit = metadata_.logical_sector;
    const uint64_t base = (block % chunk_ratio_) * (block_size_ / unit);
    // Bits for a MiB of the disk at most, at a time.
    size = std::min(size, kMegabyte);
    const uint64_t first = base + within / unit, last = base + (within + size - 1) / unit;
    std::vector<std::byte> bits(last / 8 - first / 8 + 1);
    TRY_BLOCK(file_->read_bytes((table_[bitmap_index] & vhdx::kOffsetMask) + first / 8, bits));
    const auto here = [&](uint64_t sector) {
        return (static_cast<uint8_t>(bits[sector / 8 - first / 8]) >> (sector % 8) & 1) != 0;
    };
    const bool present = here(first);
    uint64_t sector = first;
    while (sector <= last && here(sector) == present) ++sector;
    extent.size = std::min(size, (sector - base) * unit - within);
    extent.kind = present ? ImageExtent::Kind::kData : ImageExtent::Kind::kBacking;
    extent.file = file_.get();
    extent.file_offset = place.offset + within;
    extent.in_place = present && prepared();
    return BlockStatus::kOk;
}

BlockStatus VhdxImage::allocate_block(uint64_t& offset) {
    offset = end_;
    if (offset > uint64_t{1} << 56) return BlockStatus::kNoSpace;
    end_ += block_size_;
    return BlockStatus::kOk;
}

BlockStatus VhdxImage::link_block(uint64_t block, uint64_t offset) {
    const uint64_t index = entry_index(block);
    table_[index] = offset | kFullyPresent;
    changed_.insert(index / kEntriesPerSector);
    return BlockStatus::kOk;
}

// The two headers take turns (2.2.2.1): the older one is overwritten with a higher number.
BlockStatus VhdxImage::update_header() {
    ++header_.sequence;
    which_ = 1 - which_;
    TRY_BLOCK(file_->write_bytes(kHeaderAt[which_], serialize_header(header_)));
    return file_->flush();
}

// New names for the file's and the disk's content, and for the log that is written from now on.
BlockStatus VhdxImage::prepare_write() {
    header_.file_write = random_guid();
    header_.data_write = random_guid();
    header_.log = random_guid();
    log_.restart(header_.log);
    // Twice, so that neither header names the old log, which was replayed.
    TRY_BLOCK(update_header());
    TRY_BLOCK(update_header());
    writing_ = true;
    return BlockStatus::kOk;
}

// Into the log, and when that is on the medium into the table. The table is on the medium before the
// log's next entry makes this one void.
BlockStatus VhdxImage::write_tables() {
    while (!changed_.empty()) {
        VhdxLog::Sectors sectors;
        std::vector<uint64_t> taken;  // still changed if anything fails
        for (const uint64_t number : changed_) {
            if (taken.size() == std::min<size_t>(log_.max_sectors(), 64)) break;
            std::vector<std::byte> bytes(kSector);
            for (uint64_t i = 0; i < kEntriesPerSector; ++i) {
                const uint64_t index = number * kEntriesPerSector + i;
                if (index < table_.size()) store_little<uint64_t>(&bytes[i * 8], table_[index]);
            }
            sectors[region_.offset + number * kSector] = std::move(bytes);
            taken.push_back(number);
        }
        TRY_BLOCK(log_.append(sectors));
        TRY_BLOCK(file_->flush());
        for (const auto& [place, bytes] : sectors) TRY_BLOCK(file_->write_bytes(place, bytes));
        TRY_BLOCK(file_->flush());
        for (const uint64_t number : taken) changed_.erase(number);
    }
    return BlockStatus::kOk;
}

CheckReport VhdxImage::check(Repair) {
    CheckReport report;
    const uint64_t blocks = (size_ + block_size_ - 1) / block_size_;
    report.total_clusters = blocks;
    std::vector<std::pair<uint64_t, uint64_t>> places{
        {0, kMegabyte},
        {region_.offset, region_.offset + region_.length},
        {header_.log_offset, header_.log_offset + header_.log_length}};
    for (uint64_t i = 0; i < blocks; ++i) {
        Place place;
        if (find_block(i, place) != BlockStatus::kOk) {
            ++report.corruptions;
            report.say(fmt::format("ERROR the entry of block {} cannot be", i));
            continue;
        }
        if (place.kind != Place::Kind::kData && place.kind != Place::Kind::kPartial) continue;
        ++report.allocated_clusters;
        places.emplace_back(place.offset, place.offset + block_size_);
        const uint64_t used = std::min(block_size_, size_ - i * block_size_);
        if (place.offset + used <= align_up(file_->size(), kMegabyte)) continue;
        ++report.corruptions;
        report.say(fmt::format("ERROR block {} lies beyond the end of the file", i));
    }
    std::ranges::sort(places);
    for (size_t i = 1; i < places.size(); ++i) {
        if (places[i].first >= places[i - 1].second) continue;
        ++report.corruptions;
        report.say(fmt::format("ERROR what lies at {:#x} overlaps something else", places[i].first));
    }
    report.image_end_offset = end_;
    return report;
}

}  // namespace mynah
