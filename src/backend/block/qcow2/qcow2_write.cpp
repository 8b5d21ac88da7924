#include <algorithm>
#include <array>

#include "backend/block/image/byte_order.h"
#include "backend/block/qcow2/qcow2_compression.h"
#include "backend/block/qcow2/qcow2_image.h"

// Changing the disk: where clusters come from and what order things are written in.
namespace mynah {

using namespace qcow2;

namespace {

constexpr uint64_t kMaxRun = 4 << 20;     // bytes allocated at a time
constexpr size_t kMaxPendingFrees = 4096;  // runs, before tables are written

}  // namespace

bool Qcow2Image::has_unwritten_tables() const {
    return tables_.changed() > 0 || l1_first_ < l1_end_ || refcounts_.changed() ||
           refcounts_.frees_pending() > 0;
}

// Keeps what is unwritten bounded, and says of bitmaps that the disk goes ahead of them.
BlockStatus Qcow2Image::before_change() {
    if (read_only()) return BlockStatus::kReadOnly;
    if (header_.bitmaps && !bitmaps_distrusted_) {
        TRY_BLOCK(distrust_bitmaps());
        bitmaps_distrusted_ = true;
    }
    if (tables_.changed() > tables_.capacity() / 2 ||
        refcounts_.changed_blocks() > refcounts_.cache_capacity() / 2 ||
        refcounts_.frees_pending() > kMaxPendingFrees)
        return commit();
    return BlockStatus::kOk;
}

// The order that makes crashes harmless: data and raised counts; what refers to them; and only then
// lowered counts.
BlockStatus Qcow2Image::commit() {
    if (!has_unwritten_tables()) return BlockStatus::kOk;
    TRY_BLOCK(refcounts_.write());
    if (data_file_) TRY_BLOCK(data_file_->flush());
    TRY_BLOCK(file_->flush());
    TRY_BLOCK(tables_.write_changed());
    if (l1_first_ < l1_end_) {
        TRY_BLOCK(file_->flush());
        TRY_BLOCK(write_l1());
    }
    if (refcounts_.frees_pending() == 0) return BlockStatus::kOk;
    TRY_BLOCK(file_->flush());
    std::vector<std::pair<uint64_t, uint64_t>> freed;
    TRY_BLOCK(refcounts_.apply_frees(freed));
    compressed_next_ = 0;
    if (!options_.discard_unused) return BlockStatus::kOk;
    for (const auto& [cluster, count] : freed)
        file_->discard(cluster << header_.cluster_bits, count << header_.cluster_bits);
    return BlockStatus::kOk;
}

BlockStatus Qcow2Image::flush() {
    if (read_only()) return BlockStatus::kOk;
    TRY_BLOCK(commit());
    if (data_file_) TRY_BLOCK(data_file_->flush());
    return file_->flush();
}

BlockStatus Qcow2Image::write_l1() {
    std::vector<std::byte> bytes((l1_end_ - l1_first_) * 8);
    for (size_t i = l1_first_; i < l1_end_; ++i)
        store_big<uint64_t>(&bytes[(i - l1_first_) * 8], l1_[i]);
    TRY_BLOCK(file_->write_bytes(header_.l1_offset + l1_first_ * 8, bytes));
    l1_first_ = SIZE_MAX;
    l1_end_ = 0;
    return BlockStatus::kOk;
}

// The second level table that belongs to this image state alone, made or copied if need be.
BlockStatus Qcow2Image::table_for_write(uint64_t l1_index, TableCache::Table*& table) {
    const uint64_t l1_entry = l1_[l1_index], old = l1_entry & kOffsetMask;
    if (old != 0 && !valid_table(l1_entry)) return damaged("first level entry", l1_entry);
    if (old != 0 && overlaps_tables(old, cluster_size()))
        return damaged("second level table over another", old);
    if (old != 0 && (l1_entry & kCopied) != 0) return tables_.get(old, table);
    std::vector<std::byte> content;
    if (old != 0) {
        TRY_BLOCK(tables_.get(old, table));
        content = table->bytes;
    }
    uint64_t cluster = 0;
    TRY_BLOCK(refcounts_.allocate(1, cluster));
    table = &tables_.add(cluster << header_.cluster_bits);
    if (old != 0) {
        table->bytes = std::move(content);
        refcounts_.free_later(old >> header_.cluster_bits, 1);
    }
    l1_[l1_index] = (cluster << header_.cluster_bits) | kCopied;
    l1_first_ = std::min<size_t>(l1_first_, l1_index);
    l1_end_ = std::max<size_t>(l1_end_, l1_index + 1);
    return BlockStatus::kOk;
}

BlockStatus Qcow2Image::write(uint64_t offset, std::span<const std::byte> from) {
    TRY_BLOCK(before_change());
    while (!from.empty()) {
        ImageExtent extent;
        TRY_BLOCK(map(offset, from.size(), extent));
        uint64_t done = extent.size;
        if (extent.kind == ImageExtent::Kind::kData && extent.in_place)
            TRY_BLOCK(extent.file->write_bytes(extent.file_offset, from.first(done)));
        else
            TRY_BLOCK(write_allocating(offset, from, done));
        offset += done;
        from = from.subspan(done);
    }
    return BlockStatus::kOk;
}

// The first clusters of a range, as many as can be had at once; `done` bytes of it were written.
BlockStatus Qcow2Image::write_allocating(uint64_t offset, std::span<const std::byte> from,
                                         uint64_t& done) {
    TRY_BLOCK(before_change());
    TableCache::Table* table = nullptr;
    TRY_BLOCK(table_for_write(offset / table_span(), table));
    const uint64_t first = entry_index(offset);
    const Entry entry = entry_at(*table, first);
    if (in_cluster(entry.host()) != 0 && !entry.compressed())
        return damaged("second level entry", entry.value);
    uint64_t clusters = 1;
    // A place of its own that only lacks content can be taken; else one is allocated, along with
    // those of the clusters behind, up to one that has its own.
    if (!has_host_cluster(entry) || !entry.copied()) {
        const uint64_t wanted = std::min<uint64_t>(
            {(in_cluster(offset) + from.size() + cluster_size() - 1) >> header_.cluster_bits,
             header_.l2_entries() - first, std::max<uint64_t>(1, kMaxRun >> header_.cluster_bits)});
        while (clusters < wanted) {
            const Entry next = entry_at(*table, first + clusters);
            if (has_host_cluster(next) && next.copied()) break;
            ++clusters;
        }
    } else if (overlaps_tables(entry.host(), cluster_size())) {
        return damaged("cluster over a table", entry.host());
    }
    done = std::min<uint64_t>(from.size(),
                              (clusters << header_.cluster_bits) - in_cluster(offset));
    return write_run(*table, offset, from.first(done), clusters);
}

BlockStatus Qcow2Image::write_run(TableCache::Table& table, uint64_t offset,
                                  std::span<const std::byte> from, uint64_t clusters) {
    const uint64_t first = entry_index(offset);
    const uint64_t guest = offset - in_cluster(offset);  // of the first cluster
    const Entry head = entry_at(table, first), tail = entry_at(table, first + clusters - 1);
    const bool reuse = has_host_cluster(head) && head.copied();
    uint64_t host = head.host();
    if (data_file_) {
        host = guest;  // data files are laid out as the disk is
    } else if (!reuse) {
        uint64_t cluster = 0;
        TRY_BLOCK(refcounts_.allocate(clusters, cluster));
        host = cluster << header_.cluster_bits;
    }
    // Only touched subclusters are filled up, unless others have content to be moved.
    const auto moves = [&](const Entry& entry) {
        return !reuse && (entry.compressed() || (entry.bitmap & low_mask(32)) != 0);
    };
    const uint64_t unit = header_.subcluster_size(), end = offset + from.size();
    const uint64_t start = moves(head) ? guest : align_down(offset, unit);
    const uint64_t stop = moves(tail) ? guest + (clusters << header_.cluster_bits)
                                      : align_up(end, unit);
    const BlockStatus written = write_padded(offset, from, start, stop, host + (start - guest));
    if (written != BlockStatus::kOk) {
        if (!reuse && !data_file_) refcounts_.release(host >> header_.cluster_bits, clusters);
        return written;
    }
    for (uint64_t i = 0; i < clusters; ++i) {
        Entry entry = entry_at(table, first + i);
        if (!reuse) free_entry(entry);
        const uint64_t cluster = guest + (i << header_.cluster_bits);
        const uint64_t sub_first = (std::max(start, cluster) - cluster) / unit;
        const uint64_t sub_end = (std::min(stop, cluster + cluster_size()) - cluster) / unit;
        uint64_t bitmap = 0;
        if (header_.extended_l2()) {
            const uint64_t filled = low_mask(static_cast<unsigned>(sub_end)) &
                                    ~low_mask(static_cast<unsigned>(sub_first));
            bitmap = ((entry.compressed() ? 0 : entry.bitmap) & ~(filled << 32)) | filled;
        }
        set_entry(table, first + i, {(host + (i << header_.cluster_bits)) | kCopied, bitmap});
    }
    return BlockStatus::kOk;
}

// Writes [start, end) to the place `host`: the data, and around it what the disk has there now.
BlockStatus Qcow2Image::write_padded(uint64_t offset, std::span<const std::byte> from,
                                     uint64_t start, uint64_t end, uint64_t host) {
    const auto fill = [this](std::span<std::byte> to, uint64_t at) {
        const uint64_t there = at < size_ ? std::min<uint64_t>(to.size(), size_ - at) : 0;
        return read_bytes(at, to.first(there));  // beyond the disk's end: zeroes
    };
    std::vector<std::byte> before(offset - start), after(end - offset - from.size());
    if (!before.empty()) TRY_BLOCK(fill(before, start));
    if (!after.empty()) TRY_BLOCK(fill(after, offset + from.size()));
    const std::array<Slice, 3> slices{
        Slice(before), Slice(const_cast<std::byte*>(from.data()), from.size()), Slice(after)};
    return data().write(host, slices);
}

void Qcow2Image::free_entry(const Entry& entry) {
    if (entry.compressed()) {
        const CompressedPlace place = compressed_place(entry.value);
        const uint64_t first = place.offset >> header_.cluster_bits;
        const uint64_t last = (place.offset + place.size - 1) >> header_.cluster_bits;
        // One by one: packed clusters share, so that runs may overlap.
        for (uint64_t i = first; i <= last; ++i) refcounts_.free_later(i, 1);
    } else if (!data_file_ && has_host_cluster(entry)) {
        refcounts_.free_later(entry.host() >> header_.cluster_bits, 1);
    }
}

// Whole clusters of one second level table lose their content: they become zeroes, or, if not
// `zero`, whatever is cheapest. `bare`: as if they had never been written.
BlockStatus Qcow2Image::clear_clusters(uint64_t offset, uint64_t clusters, bool zero,
                                       bool may_unmap, bool bare) {
    TRY_BLOCK(before_change());
    const uint64_t l1_index = offset / table_span();
    const bool covered = !bare && !backing_is_zero(offset, clusters << header_.cluster_bits);
    if ((l1_[l1_index] & kOffsetMask) == 0 && !covered) return BlockStatus::kOk;
    TableCache::Table* table = nullptr;
    TRY_BLOCK(table_for_write(l1_index, table));
    for (uint64_t i = 0; i < clusters; ++i) {
        const uint64_t index = entry_index(offset) + i;
        const Entry entry = entry_at(*table, index);
        Entry cleared{};
        const bool nothing = entry.value == 0 && entry.bitmap == 0;
        if (nothing && !covered) continue;
        // Must hide what lies below.
        if (covered)
            cleared = header_.extended_l2() ? Entry{0, low_mask(32) << 32} : Entry{kZeroFlag, 0};
        const bool keep = zero && !may_unmap && !bare && has_host_cluster(entry) &&
                          entry.copied() && header_.version >= 3;
        if (keep || (data_file_ && has_host_cluster(entry) && !bare)) {
            cleared = header_.extended_l2()
                          ? Entry{entry.host() | kCopied, low_mask(32) << 32}
                          : Entry{entry.host() | kCopied | kZeroFlag, 0};
        } else {
            free_entry(entry);
        }
        if (cleared.value != entry.value || cleared.bitmap != entry.bitmap)
            set_entry(*table, index, cleared);
    }
    // A data file that claims to be the raw disk must hold the zeroes, too.
    if (data_file_)
        TRY_BLOCK(data_file_->write_zeroes(offset, std::min(clusters << header_.cluster_bits, size_ - std::min(size_, offset)), may_unmap));
    return BlockStatus::kOk;
}

// A part of a cluster, by writing what is not zero already.
BlockStatus Qcow2Image::zero_part(uint64_t offset, uint64_t size) {
    return DiskImage::write_zeroes(offset, size, false);
}

BlockStatus Qcow2Image::write_zeroes(uint64_t offset, uint64_t size, bool may_unmap) {
    // Version 2 cannot say "zero" over a backing image.
    if (header_.version < 3 && backing() != nullptr) return zero_part(offset, size);
    const uint64_t end = offset + size;
    while (offset < end) {
        const uint64_t next = std::min(end, align_up(offset + 1, cluster_size()));
        const bool whole = in_cluster(offset) == 0 && (in_cluster(next) == 0 || next == size_);
        if (!whole) {
            TRY_BLOCK(zero_part(offset, next - offset));
            offset = next;
            continue;
        }
        // All whole clusters up to the end of the table.
        const uint64_t stop = end == size_ ? align_up(end, cluster_size())
                                           : align_down(end, cluster_size());
        const uint64_t part = std::min(stop, align_down(offset, table_span()) + table_span()) - offset;
        TRY_BLOCK(clear_clusters(offset, part >> header_.cluster_bits, true, may_unmap));
        offset += part;
    }
    return BlockStatus::kOk;
}

BlockStatus Qcow2Image::discard(uint64_t offset, uint64_t size) {
    if (header_.version < 3 && backing() != nullptr) return BlockStatus::kOk;
    const uint64_t end = offset + size == size_ ? align_up(size_, cluster_size())
                                                : align_down(offset + size, cluster_size());
    offset = align_up(offset, cluster_size());
    while (offset < end) {
        const uint64_t part = std::min(end, align_down(offset, table_span()) + table_span()) - offset;
        TRY_BLOCK(clear_clusters(offset, part >> header_.cluster_bits, true, true));
        offset += part;
    }
    return BlockStatus::kOk;
}

// Packed clusters lie one behind the other, several to a cluster of the file.
BlockStatus Qcow2Image::allocate_compressed(uint64_t size, uint64_t& offset) {
    const uint64_t bits = header_.cluster_bits;
    const uint64_t room = compressed_next_ == 0 ? 0 : align_up(compressed_next_, cluster_size()) - compressed_next_;
    uint64_t uses = 0;
    if (room > 0) TRY_BLOCK(refcounts_.get(compressed_next_ >> bits, uses));
    const bool shares = room > 0 && uses > 0 && uses < header_.max_refcount();
    if (shares && size <= room) {
        TRY_BLOCK(refcounts_.raise(compressed_next_ >> bits, 1));
        offset = compressed_next_;
    } else {
        uint64_t cluster = 0;
        TRY_BLOCK(refcounts_.allocate(1, cluster));
        offset = cluster << bits;
        if (shares && compressed_next_ + room == offset) {
            TRY_BLOCK(refcounts_.raise(compressed_next_ >> bits, 1));
            offset = compressed_next_;
        }
    }
    compressed_next_ = in_cluster(offset + size) == 0 ? 0 : offset + size;
    return BlockStatus::kOk;
}

BlockStatus Qcow2Image::write_compressed(uint64_t offset, std::span<const std::byte> from) {
    Entry entry;
    TRY_BLOCK(entry_for(offset, entry));
    std::vector<std::byte> cluster(from.begin(), from.end());
    cluster.resize(cluster_size());
    const auto packed = qcow2_pack(header_.compression, cluster);
    const bool fresh = entry.value == 0 && entry.bitmap == 0;
    if (!packed || !fresh || in_cluster(offset) != 0) return write(offset, from);
    TRY_BLOCK(before_change());
    uint64_t place = 0;
    TRY_BLOCK(allocate_compressed(packed->size(), place));
    const unsigned offset_bits = 62 - (header_.cluster_bits - 8);
    if (place > low_mask(offset_bits)) return BlockStatus::kNoSpace;
    TRY_BLOCK(file_->write_bytes(place, *packed));
    TableCache::Table* table = nullptr;
    TRY_BLOCK(table_for_write(offset / table_span(), table));
    const uint64_t more = (place + packed->size() - 1) / 512 - place / 512;
    set_entry(*table, entry_index(offset), {place | (more << offset_bits) | kCompressed, 0});
    return BlockStatus::kOk;
}

}  // namespace mynah
