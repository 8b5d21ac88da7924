#include "backend/block/vmdk/vmdk_sparse.h"

#include <fmt/core.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>

#include "backend/block/image/byte_order.h"

namespace mynah {
namespace {

constexpr uint64_t kSector = 512;
constexpr uint32_t kFlagValidNewline = 1, kFlagRedundant = 2, kFlagZeroGrains = 4,
                   kFlagCompressed = 1 << 16, kFlagMarkers = 1 << 17;
constexpr uint64_t kDirectoryAtEnd = ~uint64_t{0};
constexpr uint64_t kMaxDirectory = 1 << 22;  // entries: 16 MiB
constexpr uint64_t kMaxStreamGrains = 1 << 26;  // 256 MiB of tables
constexpr uint64_t kMaxGrainSectors = 4096;  // 2 MiB
constexpr uint64_t kMaxDescriptor = 1 << 20;
constexpr uint32_t kMarkerEnd = 0, kMarkerTable = 1, kMarkerDirectory = 2, kMarkerFooter = 3;
constexpr uint64_t kCacheBytes = 8 << 20;

Error bad(const ImageFile& file, std::string_view what) {
    return image_error(file, fmt::format("is no usable VMDK image: {}", what));
}

// A metadata marker [VMDK, "Stream-Optimized Compressed Sparse Extents"].
std::vector<std::byte> marker(uint64_t sectors, uint32_t type) {
    std::vector<std::byte> bytes(kSector);
    store_little<uint64_t>(&bytes[0], sectors);
    store_little<uint32_t>(&bytes[12], type);
    return bytes;
}

}  // namespace

Result<VmdkSparseExtent::Header> VmdkSparseExtent::parse(ImageFile& file,
                                                         std::span<const std::byte> bytes) {
    if (std::memcmp(bytes.data(), "KDMV", 4) != 0)
        return bad(file, "an extent does not begin as one");
    Header header;
    header.version = load_little<uint32_t>(&bytes[4]);
    header.flags = load_little<uint32_t>(&bytes[8]);
    header.capacity = load_little<uint64_t>(&bytes[12]);
    header.grain = load_little<uint64_t>(&bytes[20]);
    header.descriptor_at = load_little<uint64_t>(&bytes[28]);
    header.descriptor_size = load_little<uint64_t>(&bytes[36]);
    header.table_entries = load_little<uint32_t>(&bytes[44]);
    header.redundant_directory = load_little<uint64_t>(&bytes[48]);
    header.directory = load_little<uint64_t>(&bytes[56]);
    header.overhead = load_little<uint64_t>(&bytes[64]);
    header.compression = load_little<uint16_t>(&bytes[77]);
    if (header.version < 1 || header.version > 3)
        return bad(file, fmt::format("its version is {}; expected 1 to 3", header.version));
    if (!std::has_single_bit(header.grain) || header.grain < 8 || header.grain > kMaxGrainSectors)
        return bad(file, fmt::format("its grains have {} sectors", header.grain));
    if (header.table_entries != 512)
        return bad(file, fmt::format("its tables have {} entries; expected 512", header.table_entries));
    if (header.capacity > uint64_t{1} << 44 ||
        header.capacity / (header.grain * 512) >= kMaxDirectory)
        return bad(file, fmt::format("it claims {} sectors", header.capacity));
    if ((header.flags & kFlagCompressed) != 0 && header.compression != 1)
        return bad(file, fmt::format("its compression {} is unknown", header.compression));
    return header;
}

std::vector<std::byte> VmdkSparseExtent::serialize(const Header& header) {
    std::vector<std::byte> bytes(kSector);
    std::memcpy(&bytes[0], "KDMV", 4);
    store_little<uint32_t>(&bytes[4], header.version);
    store_little<uint32_t>(&bytes[8], header.flags);
    store_little<uint64_t>(&bytes[12], header.capacity);
    store_little<uint64_t>(&bytes[20], header.grain);
    store_little<uint64_t>(&bytes[28], header.descriptor_at);
    store_little<uint64_t>(&bytes[36], header.descriptor_size);
    store_little<uint32_t>(&bytes[44], header.table_entries);
    store_little<uint64_t>(&bytes[48], header.redundant_directory);
    store_little<uint64_t>(&bytes[56], header.directory);
    store_little<uint64_t>(&bytes[64], header.overhead);
    // Told apart from a file that went through a text conversion.
    std::memcpy(&bytes[73], "\n \r\n", 4);
    store_little<uint16_t>(&bytes[77], header.compression);
    return bytes;
}

VmdkSparseExtent::VmdkSparseExtent(std::unique_ptr<ImageFile> file, const Header& header)
    : BlockTableImage(std::move(file), header.capacity * kSector, header.grain * kSector),
      header_(header),
      compressed_((header.flags & kFlagCompressed) != 0),
      tables_(*file_, header.table_entries * size_t{4}, kCacheBytes / (header.table_entries * 4)) {}

VmdkSparseExtent::~VmdkSparseExtent() { flush_at_end(); }

Result<std::unique_ptr<VmdkSparseExtent>> VmdkSparseExtent::open(std::unique_ptr<ImageFile> file) {
    std::vector<std::byte> bytes(kSector);
    TRY(expect_ok(*file, "read", file->read_bytes(0, bytes)));
    Header header = TRY(parse(*file, bytes));
    const Header front = header;
    // One that was made a moment ago has no end yet, and no grains.
    const bool fresh = header.overhead < kMaxDirectory && file->size() <= header.overhead * kSector;
    if (header.directory == kDirectoryAtEnd && !fresh) {
        // The footer: its marker, a header and the end's marker are the last three sectors.
        const uint64_t at = align_down(file->size(), kSector) - 2 * kSector;
        TRY(expect_ok(*file, "read", file->read_bytes(at, bytes)));
        header = TRY(parse(*file, bytes));
        if (header.directory == kDirectoryAtEnd) return bad(*file, "its footer is damaged");
        header.descriptor_at = front.descriptor_at;
        header.descriptor_size = front.descriptor_size;
    }
    std::unique_ptr<VmdkSparseExtent> extent(new VmdkSparseExtent(std::move(file), header));
    TRY(extent->load());
    return extent;
}

Result<void> VmdkSparseExtent::load() {
    const uint64_t per_table = header_.table_entries * block_size_;
    const uint64_t entries = (size_ + per_table - 1) / per_table;
    const auto read_directory = [&](uint64_t sector, std::vector<uint32_t>& to) -> Result<void> {
        if (sector > file_->size() / kSector || sector == 0)
            return bad(*file_, "its directory lies beyond the end of the file");
        std::vector<std::byte> bytes(entries * 4);
        if (!bytes.empty()) TRY(expect_ok(*file_, "read", file_->read_bytes(sector * kSector, bytes)));
        to.resize(entries);
        for (size_t i = 0; i < entries; ++i) to[i] = load_little<uint32_t>(&bytes[i * 4]);
        return {};
    };
    if (header_.directory == kDirectoryAtEnd)
        directory_.resize(entries);  // made a moment ago, and nothing was written yet
    else
        TRY(read_directory(header_.directory, directory_));
    if ((header_.flags & kFlagRedundant) != 0 && header_.redundant_directory != 0 && !compressed_)
        TRY(read_directory(header_.redundant_directory, redundant_));
    if (header_.descriptor_at != 0 && header_.descriptor_size != 0) {
        const uint64_t bytes = header_.descriptor_size * kSector;
        if (header_.descriptor_size > kMaxDescriptor / kSector ||
            header_.descriptor_at > file_->size() / kSector)
            return bad(*file_, "its descriptor lies nowhere");
        descriptor_.resize(bytes);
        TRY(expect_ok(*file_, "read",
                      file_->read_bytes(header_.descriptor_at * kSector,
                                        std::as_writable_bytes(std::span(descriptor_)))));
        descriptor_.resize(std::strlen(descriptor_.c_str()));
    }
    // Behind everything there is, in whole grains.
    end_ = align_up(std::max(file_->size(), header_.overhead * kSector), block_size_);
    if (compressed_) end_ = std::max(file_->size(), header_.overhead * kSector);
    return {};
}

BlockStatus VmdkSparseExtent::table_entry(uint64_t block, uint32_t& sector) {
    sector = 0;
    if (streaming_) {
        sector = stream_table_[block];
        return BlockStatus::kOk;
    }
    const uint32_t table_at = directory_[block / header_.table_entries];
    if (table_at == 0) return BlockStatus::kOk;
    const MutexLock hold(lookup_lock_);
    TableCache::Table* table = nullptr;
    TRY_BLOCK(tables_.get(table_at * kSector, table));
    sector = load_little<uint32_t>(&table->bytes[block % header_.table_entries * 4]);
    return BlockStatus::kOk;
}

BlockStatus VmdkSparseExtent::find_block(uint64_t block, Place& place) {
    uint32_t sector = 0;
    TRY_BLOCK(table_entry(block, sector));
    place.offset = sector * kSector;
    place.kind = Place::Kind::kData;
    if (sector == 0) place.kind = Place::Kind::kNone;
    if (sector == 1 && (header_.flags & kFlagZeroGrains) != 0) place.kind = Place::Kind::kZero;
    return BlockStatus::kOk;
}

BlockStatus VmdkSparseExtent::map(uint64_t offset, uint64_t size, ImageExtent& extent) {
    if (!compressed_) return BlockTableImage::map(offset, size, extent);
    Place place;
    TRY_BLOCK(find_block(offset / block_size_, place));
    extent = {ImageExtent::Kind::kBacking, false,
              std::min(size, block_size_ - offset % block_size_), nullptr, 0};
    if (place.kind == Place::Kind::kZero) extent.kind = ImageExtent::Kind::kZero;
    if (place.kind == Place::Kind::kData) extent.kind = ImageExtent::Kind::kEncoded;
    return BlockStatus::kOk;
}

BlockStatus VmdkSparseExtent::read_encoded(uint64_t offset, std::span<std::byte> to) {
    uint32_t sector = 0;
    TRY_BLOCK(table_entry(offset / block_size_, sector));
    const MutexLock hold(lookup_lock_);
    if (unpacked_sector_ != sector || unpacked_.empty()) {
        unpacked_sector_ = 0;
        // A grain marker: where on the disk, how many bytes, and the bytes.
        std::byte head[12];
        TRY_BLOCK(file_->read_bytes(sector * kSector, head));
        const uint64_t bytes = load_little<uint32_t>(head + 8);
        if (bytes > block_size_ * 2 + 1024) return damaged("grain at sector", sector);
        std::vector<std::byte> packed(bytes);
        TRY_BLOCK(file_->read_bytes(sector * kSector + 12, packed));
        unpacked_.assign(block_size_, std::byte{0});
        uLongf length = static_cast<uLongf>(block_size_);
        if (uncompress(reinterpret_cast<Bytef*>(unpacked_.data()), &length,
                       reinterpret_cast<const Bytef*>(packed.data()), static_cast<uLong>(bytes)) != Z_OK)
            return damaged("grain at sector", sector);
        unpacked_sector_ = sector;
    }
    std::memcpy(to.data(), &unpacked_[offset % block_size_], to.size());
    return BlockStatus::kOk;
}

BlockStatus VmdkSparseExtent::write(uint64_t offset, std::span<const std::byte> from) {
    if (!compressed_) return BlockTableImage::write(offset, from);
    while (!from.empty()) {
        if (offset % block_size_ != 0) return BlockStatus::kUnsupported;
        const uint64_t part = std::min<uint64_t>(from.size(), block_size_);
        if (part < block_size_ && offset + part < size_) return BlockStatus::kUnsupported;
        TRY_BLOCK(write_compressed(offset, from.first(part)));
        offset += part;
        from = from.subspan(part);
    }
    return BlockStatus::kOk;
}

BlockStatus VmdkSparseExtent::write_compressed(uint64_t offset, std::span<const std::byte> from) {
    if (!compressed_) return BlockStatus::kUnsupported;
    if (read_only()) return BlockStatus::kReadOnly;
    const uint64_t block = offset / block_size_;
    if (!streaming_) {
        // A stream that was ended is not begun again.
        if (std::ranges::any_of(directory_, [](uint32_t entry) { return entry != 0; }))
            return BlockStatus::kUnsupported;
        if (directory_.size() * header_.table_entries > kMaxStreamGrains)
            return BlockStatus::kNoSpace;
        stream_table_.resize(directory_.size() * header_.table_entries);
        streaming_ = true;
    }
    if (stream_table_[block] != 0) return BlockStatus::kUnsupported;
    std::vector<std::byte> grain(from.begin(), from.end());
    grain.resize(block_size_);
    uLongf length = compressBound(static_cast<uLong>(block_size_));
    std::vector<std::byte> bytes(align_up(12 + length, kSector));
    if (compress(reinterpret_cast<Bytef*>(&bytes[12]), &length,
                 reinterpret_cast<const Bytef*>(grain.data()),
                 static_cast<uLong>(block_size_)) != Z_OK)
        return BlockStatus::kIoError;
    store_little<uint64_t>(&bytes[0], block * header_.grain);
    store_little<uint32_t>(&bytes[8], static_cast<uint32_t>(length));
    bytes.resize(align_up(12 + length, kSector));
    TRY_BLOCK(file_->write_bytes(end_, bytes));
    stream_table_[block] = static_cast<uint32_t>(end_ / kSector);
    end_ += bytes.size();
    return BlockStatus::kOk;
}

// Tables, directory, footer, end: each after a marker.
BlockStatus VmdkSparseExtent::finish_stream() {
    const auto put = [this](std::span<const std::byte> bytes) {
        const BlockStatus status = file_->write_bytes(end_, bytes);
        end_ += bytes.size();
        return status;
    };
    std::vector<std::byte> directory(align_up(directory_.size() * 4, kSector));
    const uint64_t table_sectors = header_.table_entries * 4 / kSector;
    for (size_t i = 0; i < directory_.size(); ++i) {
        const auto first = stream_table_.begin() + static_cast<ptrdiff_t>(i * header_.table_entries);
        const auto last = first + header_.table_entries;
        if (std::all_of(first, last, [](uint32_t entry) { return entry == 0; })) continue;
        TRY_BLOCK(put(marker(table_sectors, kMarkerTable)));
        directory_[i] = static_cast<uint32_t>(end_ / kSector);
        store_little<uint32_t>(&directory[i * 4], directory_[i]);
        std::vector<std::byte> table(table_sectors * kSector);
        for (uint64_t j = 0; j < header_.table_entries; ++j)
            store_little<uint32_t>(&table[j * 4], first[static_cast<ptrdiff_t>(j)]);
        TRY_BLOCK(put(table));
    }
    TRY_BLOCK(put(marker(directory.size() / kSector, kMarkerDirectory)));
    header_.directory = end_ / kSector;
    TRY_BLOCK(put(directory));
    TRY_BLOCK(put(marker(1, kMarkerFooter)));
    TRY_BLOCK(put(serialize(header_)));
    TRY_BLOCK(put(marker(0, kMarkerEnd)));
    streaming_ = false;
    return file_->flush();
}

BlockStatus VmdkSparseExtent::flush() {
    if (read_only()) return BlockStatus::kOk;
    if (streaming_) return finish_stream();
    return BlockTableImage::flush();
}

BlockStatus VmdkSparseExtent::allocate_block(uint64_t& offset) {
    if (end_ / kSector > UINT32_MAX) return BlockStatus::kNoSpace;
    offset = end_;
    end_ += block_size_;
    return BlockStatus::kOk;
}

// Tables are usually all there from the start; one that is not is made behind the grains.
BlockStatus VmdkSparseExtent::link_block(uint64_t block, uint64_t offset) {
    const uint64_t index = block / header_.table_entries;
    const MutexLock hold(lookup_lock_);
    if (directory_[index] == 0) {
        uint64_t place = 0;
        TRY_BLOCK(allocate_block(place));
        tables_.add(place);
        directory_[index] = static_cast<uint32_t>(place / kSector);
        new_tables_.push_back(index);
        if (!redundant_.empty() && redundant_[index] == 0)
            redundant_[index] = static_cast<uint32_t>((place + header_.table_entries * 4) / kSector);
    }
    TableCache::Table* table = nullptr;
    TRY_BLOCK(tables_.get(directory_[index] * kSector, table));
    store_little<uint32_t>(&table->bytes[block % header_.table_entries * 4],
                           static_cast<uint32_t>(offset / kSector));
    tables_.mark_changed(*table);
    return BlockStatus::kOk;
}

// Both copies, the spare one first, so that one of them is whole at any time.
BlockStatus VmdkSparseExtent::write_tables() {
    if (!redundant_.empty()) {
        TRY_BLOCK(tables_.for_each_changed([this](const TableCache::Table& table) {
            const auto found = std::ranges::find(directory_, table.offset / kSector);
            const auto index = static_cast<size_t>(found - directory_.begin());
            if (found == directory_.end() || redundant_[index] == 0) return BlockStatus::kOk;
            return file_->write_bytes(redundant_[index] * kSector, table.bytes);
        }));
        TRY_BLOCK(file_->flush());
    }
    TRY_BLOCK(tables_.write_changed());
    if (new_tables_.empty()) return BlockStatus::kOk;
    TRY_BLOCK(file_->flush());
    for (const uint64_t index : new_tables_) {
        std::byte field[4];
        store_little<uint32_t>(field, directory_[index]);
        TRY_BLOCK(file_->write_bytes(header_.directory * kSector + index * 4, field));
        if (redundant_.empty()) continue;
        store_little<uint32_t>(field, redundant_[index]);
        TRY_BLOCK(file_->write_bytes(header_.redundant_directory * kSector + index * 4, field));
    }
    new_tables_.clear();
    return BlockStatus::kOk;
}

Result<void> VmdkSparseExtent::create(ImageFile& file, const VmdkSparseOptions& options) {
    Header header;
    header.capacity = options.size / kSector;
    const uint64_t per_table = header.grain * header.table_entries;
    const uint64_t tables = (header.capacity + per_table - 1) / per_table;
    const uint64_t table_sectors = header.table_entries * uint64_t{4} / kSector;
    const uint64_t directory_sectors = (tables * 4 + kSector - 1) / kSector;
    if (tables >= kMaxDirectory || header.capacity > UINT32_MAX - tables * 16)
        return Error("size: a sparse VMDK extent has less than 2 TiB");
    uint64_t next = 1;
    if (!options.descriptor.empty()) {
        header.descriptor_at = 1;
        header.descriptor_size = 20;
        next += header.descriptor_size;
        if (options.descriptor.size() > 20 * kSector) return Error("the descriptor is too long");
    }
    std::vector<std::byte> bytes;
    if (options.stream) {
        header.version = 3;
        header.flags = kFlagValidNewline | kFlagCompressed | kFlagMarkers;
        header.compression = 1;
        header.directory = kDirectoryAtEnd;
        header.overhead = align_up(next, header.grain);
    } else {
        header.redundant_directory = next;
        const uint64_t redundant_tables = next + directory_sectors;
        header.directory = redundant_tables + tables * table_sectors;
        const uint64_t first_table = header.directory + directory_sectors;
        header.overhead = align_up(first_table + tables * table_sectors, header.grain);
        bytes.resize(header.overhead * kSector);
        for (uint64_t i = 0; i < tables; ++i) {
            store_little<uint32_t>(&bytes[header.redundant_directory * kSector + i * 4],
                                   static_cast<uint32_t>(redundant_tables + i * table_sectors));
            store_little<uint32_t>(&bytes[header.directory * kSector + i * 4],
                                   static_cast<uint32_t>(first_table + i * table_sectors));
        }
    }
    bytes.resize(header.overhead * kSector);
    const auto front = serialize(header);
    std::ranges::copy(front, bytes.begin());
    if (!options.descriptor.empty()) std::memcpy(&bytes[kSector], options.descriptor.data(), options.descriptor.size());
    TRY(expect_ok(file, "written", file.write_bytes(0, bytes)));
    return expect_ok(file, "written", file.flush());
}

CheckReport VmdkSparseExtent::check(Repair) {
    CheckReport report;
    report.total_clusters = (size_ + block_size_ - 1) / block_size_;
    std::unordered_set<uint64_t> seen, tables;
    // A table that is not there, is met again or cannot be read is passed over as a whole: what is
    // looked at is bounded by the file, whatever size of disk it claims.
    const auto skip = [&](uint64_t& i) { i += header_.table_entries - 1; };
    for (uint64_t i = 0; i < report.total_clusters; ++i) {
        if (!streaming_ && i % header_.table_entries == 0) {
            const uint32_t table_at = directory_[i / header_.table_entries];
            if (table_at != 0 && !tables.insert(table_at).second) {
                ++report.corruptions;
                report.say(fmt::format("ERROR the table of grain {} is another's", i));
                skip(i);
                continue;
            }
            if (table_at == 0) {
                skip(i);
                continue;
            }
        }
        Place place;
        if (find_block(i, place) != BlockStatus::kOk) {
            ++report.check_errors;
            if (!streaming_) i |= header_.table_entries - 1;
            continue;
        }
        if (place.kind != Place::Kind::kData) continue;
        ++report.allocated_clusters;
        if (compressed_) ++report.compressed_clusters;
        if (place.offset >= file_->size() || place.offset < header_.overhead * kSector) {
            ++report.corruptions;
            report.say(fmt::format("ERROR grain {} lies where it cannot", i));
        } else if (!seen.insert(place.offset).second) {
            ++report.corruptions;
            report.say(fmt::format("ERROR grain {} shares its place with another", i));
        }
    }
    report.image_end_offset = file_->size();
    return report;
}

}  // namespace mynah
