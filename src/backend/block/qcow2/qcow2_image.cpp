#include "backend/block/qcow2/qcow2_image.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "backend/block/image/byte_order.h"
#include "backend/block/qcow2/qcow2_compression.h"
#include "base/log.h"

namespace mynah {

using namespace qcow2;

namespace {

constexpr uint64_t kCacheBytes = 32 << 20;  // with 64 KiB clusters: tables for 256 GiB

size_t tables_kept(uint64_t cluster_size) {
    return std::clamp<uint64_t>(kCacheBytes / cluster_size, 16, 16384);
}

}  // namespace

Qcow2Image::Qcow2Image(std::unique_ptr<ImageFile> file, Qcow2Header header, OpenOptions options)
    : DiskImage(header.size),
      file_(std::move(file)),
      data_file_(std::move(options.data_file)),
      header_(std::move(header)),
      options_(std::move(options)),
      refcounts_(*file_, header_),
      tables_(*file_, header_.cluster_size(), tables_kept(header_.cluster_size())) {}

Qcow2Image::~Qcow2Image() {
    if (read_only()) return;
    // Twice: the first lets go of clusters, the second writes that they are free.
    if (flush_at_end() && refcounts_.changed()) flush_at_end();
}

Result<std::unique_ptr<Qcow2Image>> Qcow2Image::open(std::unique_ptr<ImageFile> file,
                                                     OpenOptions options) {
    Qcow2Header header = TRY(Qcow2Header::read(*file));
    if (header.external_data() && options.data_file == nullptr)
        return image_error(*file, fmt::format("its data file '{}' is missing", header.data_file));
    const bool check_only = options.check_only;
    std::unique_ptr<Qcow2Image> image(
        new Qcow2Image(std::move(file), std::move(header), std::move(options)));
    TRY(image->load());
    if (!image->read_only() && !check_only) TRY(image->make_ready());
    return image;
}

Result<void> Qcow2Image::load() {
    TRY(refcounts_.load());
    TRY(expect_ok(*file_, "read", read_l1(header_.l1_offset, header_.l1_entries, l1_)));
    return load_snapshots();
}

// Before the first change.
Result<void> Qcow2Image::make_ready() {
    if ((header_.incompatible & kCorrupt) != 0)
        return image_error(*file_, "is marked as damaged and cannot be written; expected it to be "
                                   "repaired (mynah image check -r all) or readonly=on");
    if ((header_.incompatible & kDirty) != 0) {
        log(LogLevel::kWarning, "{}: was not closed in order; its reference counts are rebuilt",
            file_->name());
        const CheckReport report = check(Repair::kAll);
        if (report.corruptions > report.corruptions_fixed || report.check_errors > 0)
            return image_error(*file_, "was not closed in order and cannot be repaired; expected "
                                       "mynah image check to tell what is wrong");
    }
    // What is not understood does not stay true [qcow2, "Header", autoclear_features].
    const uint64_t known = header_.autoclear & (kBitmapsConsistent | kRawExternalData);
    if (known != header_.autoclear) {
        header_.autoclear = known;
        TRY(expect_ok(*file_, "written", write_feature_bits()));
    }
    return {};
}

std::vector<std::pair<std::string, std::string>> Qcow2Image::details() const {
    std::vector<std::pair<std::string, std::string>> facts{
        {"compat", header_.version == 2 ? "0.10" : "1.1"},
        {"compression type", header_.compression == Compression::kZstd ? "zstd" : "zlib"},
        {"lazy refcounts", (header_.compatible & kLazyRefcounts) != 0 ? "true" : "false"},
        {"refcount bits", std::to_string(header_.refcount_bits())},
        {"corrupt", (header_.incompatible & kCorrupt) != 0 ? "true" : "false"},
        {"extended l2", header_.extended_l2() ? "true" : "false"}};
    if (header_.external_data()) {
        facts.emplace_back("data file", header_.data_file);
        facts.emplace_back("data file raw",
                           (header_.autoclear & kRawExternalData) != 0 ? "true" : "false");
    }
    if (header_.bitmaps) facts.emplace_back("bitmaps", std::to_string(header_.bitmaps->count));
    if ((header_.incompatible & kDirty) != 0) facts.emplace_back("dirty", "true");
    return facts;
}

BlockStatus Qcow2Image::damaged(const char* what, uint64_t where) const {
    log(LogLevel::kError, "{}: damaged: {} at {:#x}", file_->name(), what, where);
    return BlockStatus::kIoError;
}

bool Qcow2Image::valid_table(uint64_t l1_entry) const {
    // One beyond the end of the file reads as zeroes, which is an empty table.
    return in_cluster(l1_entry & kOffsetMask) == 0;
}

Qcow2Image::Entry Qcow2Image::entry_at(const TableCache::Table& table, uint64_t index) const {
    const std::byte* at = &table.bytes[index * header_.l2_entry_bytes()];
    Entry entry{load_big<uint64_t>(at), 0};
    if (header_.extended_l2()) entry.bitmap = load_big<uint64_t>(at + 8);
    return entry;
}

void Qcow2Image::set_entry(TableCache::Table& table, uint64_t index, Entry entry) {
    std::byte* at = &table.bytes[index * header_.l2_entry_bytes()];
    store_big<uint64_t>(at, entry.value);
    if (header_.extended_l2()) store_big<uint64_t>(at + 8, entry.bitmap);
    tables_.mark_changed(table);
}

// With a data file, host offset 0 is a place, and only the flag tells it from none.
bool Qcow2Image::has_host_cluster(const Entry& entry) const {
    return !entry.compressed() && (entry.host() != 0 || (data_file_ && entry.copied()));
}

Qcow2Image::State Qcow2Image::state_of(const Entry& entry, uint64_t subcluster) const {
    if (entry.compressed())
        return data_file_ || entry.bitmap != 0 ? State::kDamaged : State::kCompressed;
    if (in_cluster(entry.host()) != 0) return State::kDamaged;
    const bool host = has_host_cluster(entry);
    if (header_.extended_l2()) {
        const bool zero = (entry.bitmap & bit(static_cast<unsigned>(32 + subcluster))) != 0;
        const bool allocated = (entry.bitmap & bit(static_cast<unsigned>(subcluster))) != 0;
        if ((zero && allocated) || (allocated && !host)) return State::kDamaged;
        return zero ? State::kZero : allocated ? State::kData : State::kNothing;
    }
    if (header_.version >= 3 && (entry.value & kZeroFlag) != 0) return State::kZero;
    return host ? State::kData : State::kNothing;
}

// The header, the first level and the table of reference counts: nothing of the guest's may lie
// there. (Other tables can only be found by looking at all of them, as check() does.)
bool Qcow2Image::overlaps_tables(uint64_t host_offset, uint64_t size) const {
    if (data_file_) return false;
    const auto meets = [&](uint64_t start, uint64_t length) {
        return host_offset < start + length && start < host_offset + size;
    };
    return meets(0, cluster_size()) || meets(header_.l1_offset, uint64_t{header_.l1_entries} * 8) ||
           meets(header_.refcount_table_offset,
                 header_.refcount_table_clusters * cluster_size());
}

BlockStatus Qcow2Image::map(uint64_t offset, uint64_t size, ImageExtent& extent) {
    const uint64_t l1_entry = l1_[offset / table_span()];
    size = std::min(size, table_span() - offset % table_span());
    extent = {ImageExtent::Kind::kBacking, false, size, nullptr, 0};
    if ((l1_entry & kOffsetMask) == 0) return BlockStatus::kOk;
    const MutexLock hold(lookup_lock_);
    if (!valid_table(l1_entry)) return damaged("first level entry", l1_entry);
    TableCache::Table* table = nullptr;
    TRY_BLOCK(tables_.get(l1_entry & kOffsetMask, table));

    uint64_t index = entry_index(offset);
    Entry entry = entry_at(*table, index);
    uint64_t sub = in_cluster(offset) / header_.subcluster_size();
    const State state = state_of(entry, sub);
    uint64_t found = std::min(size, header_.subcluster_size() - offset % header_.subcluster_size());
    if (state == State::kDamaged) return damaged("second level entry", entry.value);
    if (state == State::kCompressed) {
        extent.kind = ImageExtent::Kind::kEncoded;
        extent.size = std::min(size, cluster_size() - in_cluster(offset));
        return BlockStatus::kOk;
    }
    const uint64_t host = entry.host() + in_cluster(offset);
    const bool copied = entry.copied();
    while (found < size) {
        if (++sub == header_.subclusters()) {
            sub = 0;
            entry = entry_at(*table, ++index);
        }
        if (state_of(entry, sub) != state) break;
        if (state == State::kData &&
            (entry.host() + in_cluster(offset + found) != host + found || entry.copied() != copied))
            break;
        found += std::min(size - found, header_.subcluster_size());
    }
    extent.size = found;
    if (state == State::kZero) extent.kind = ImageExtent::Kind::kZero;
    if (state != State::kData) return BlockStatus::kOk;
    extent.kind = ImageExtent::Kind::kData;
    extent.file = &data();
    extent.file_offset = host;
    // Persistent bitmaps must be told of the first write; that goes through write().
    extent.in_place = copied && !overlaps_tables(host, found) &&
                      (bitmaps_distrusted_ || !header_.bitmaps);
    return BlockStatus::kOk;
}

BlockStatus Qcow2Image::entry_for(uint64_t offset, Entry& entry) {
    entry = {};
    const uint64_t l1_entry = l1_[offset / table_span()];
    if ((l1_entry & kOffsetMask) == 0) return BlockStatus::kOk;
    const MutexLock hold(lookup_lock_);
    if (!valid_table(l1_entry)) return damaged("first level entry", l1_entry);
    TableCache::Table* table = nullptr;
    TRY_BLOCK(tables_.get(l1_entry & kOffsetMask, table));
    entry = entry_at(*table, entry_index(offset));
    return BlockStatus::kOk;
}

// [qcow2, "Compressed Clusters Descriptor"]
Qcow2Image::CompressedPlace Qcow2Image::compressed_place(uint64_t entry) const {
    const unsigned offset_bits = 62 - (header_.cluster_bits - 8);
    const uint64_t offset = entry & low_mask(offset_bits);
    const uint64_t more = (entry & low_mask(62)) >> offset_bits;
    return {offset, (more + 1) * 512 - offset % 512};
}

BlockStatus Qcow2Image::read_compressed(const Entry& entry, std::span<std::byte> cluster) {
    const CompressedPlace place = compressed_place(entry.value);
    std::vector<std::byte> packed(place.size);  // at most two clusters, by the width of its field
    TRY_BLOCK(file_->read_bytes(place.offset, packed));
    if (!qcow2_unpack(header_.compression, packed, cluster))
        return damaged("compressed cluster", place.offset);
    return BlockStatus::kOk;
}

BlockStatus Qcow2Image::read_encoded(uint64_t offset, std::span<std::byte> to) {
    Entry entry;
    TRY_BLOCK(entry_for(offset, entry));
    const MutexLock hold(lookup_lock_);
    // Guests read pieces of a cluster one after the other.
    if (unpacked_entry_ != entry.value || unpacked_.empty()) {
        unpacked_entry_ = 0;
        unpacked_.resize(cluster_size());
        TRY_BLOCK(read_compressed(entry, unpacked_));
        unpacked_entry_ = entry.value;
    }
    std::memcpy(to.data(), &unpacked_[in_cluster(offset)], to.size());
    return BlockStatus::kOk;
}

}  // namespace mynah
