#include "backend/block/qcow2/qcow2_check.h"

#include <fmt/core.h>

#include <algorithm>

#include "backend/block/image/byte_order.h"

namespace mynah {

using namespace qcow2;

namespace {

// Clusters that are counted in memory: 512 MiB of it, and 8 TiB of file with 64 KiB clusters.
constexpr uint64_t kMaxClusters = uint64_t{1} << 27;
constexpr uint64_t kMaxBitmapDirectory = 64 << 20;
constexpr uint64_t kBitmapEntryBytes = 24;
constexpr uint32_t kMaxBitmapTable = 1 << 20;
constexpr uint64_t kMaxLookedAt = uint64_t{1} << 33;  // entries of tables: a minute or two

}  // namespace

CheckReport Qcow2Image::check(Repair repair) {
    if (!read_only() && repair != Repair::kNothing) {
        // What is only in memory must not be taken for an error.
        if (flush() != BlockStatus::kOk) {
            CheckReport report;
            report.check_errors = 1;
            report.say("the image cannot be written");
            return report;
        }
    }
    return Qcow2Check(*this).run(repair);
}

void Qcow2Check::corrupt(std::string text) {
    ++report_.corruptions;
    report_.say("ERROR " + std::move(text));
}

void Qcow2Check::flag_wrong(std::string text) {
    ++flags_wrong_;
    corrupt(std::move(text));
}

CheckReport Qcow2Check::run(Repair repair) {
    repair_ = repair;
    file_clusters_ = (image_.file().size() + header_.cluster_size() - 1) >> header_.cluster_bits;
    if (file_clusters_ > kMaxClusters) {
        report_.check_errors = 1;
        report_.say(fmt::format("the file has {} clusters, more than this version can count",
                                file_clusters_));
        return report_;
    }
    uses_.resize(file_clusters_);
    report_.total_clusters =
        (header_.size + header_.cluster_size() - 1) >> header_.cluster_bits;
    count_all();
    compare();
    for (uint64_t i = uses_.size(); i > 0; --i) {
        if (uses_[i - 1] == 0) continue;
        report_.image_end_offset = i << header_.cluster_bits;
        break;
    }
    return report_;
}

void Qcow2Check::use(uint64_t offset, uint64_t bytes, const char* what) {
    if (bytes == 0) return;
    const uint64_t first = offset >> header_.cluster_bits;
    const uint64_t last = (offset + bytes - 1) >> header_.cluster_bits;
    if (last < first || last >= kMaxClusters) {
        corrupt(fmt::format("{} at {:#x} lies far beyond the end of the file", what, offset));
        return;
    }
    // A little beyond is what growing leaves; QEMU allows it too.
    if (first > file_clusters_) {
        corrupt(fmt::format("{} at {:#x} lies beyond the end of the file", what, offset));
        return;
    }
    if (last >= uses_.size()) uses_.resize(last + 1);
    for (uint64_t i = first; i <= last; ++i)
        if (uses_[i] != UINT32_MAX) ++uses_[i];
}

void Qcow2Check::count_all() {
    use(0, header_.cluster_size(), "the header");
    count_refcounts();
    use(header_.l1_offset, uint64_t{header_.l1_entries} * 8, "the first level table");
    count_table(image_.l1_, true);
    count_snapshots();
    count_bitmaps();
}

void Qcow2Check::count_refcounts() {
    use(header_.refcount_table_offset,
        header_.refcount_table_clusters * header_.cluster_size(), "the reference count table");
    std::unordered_set<uint64_t> seen;
    for (const uint64_t offset : image_.refcounts_.table()) {
        if (offset == 0) continue;
        if (image_.in_cluster(offset) != 0 || (offset >> header_.cluster_bits) >= file_clusters_ ||
            !seen.insert(offset).second) {
            if (!blocks_bad_)  // one error, however many: they are put right together
                corrupt(fmt::format("a reference count block at {:#x} cannot be there", offset));
            blocks_bad_ = true;
            continue;
        }
        use(offset, header_.cluster_size(), "a reference count block");
    }
}

// Snapshots and bitmaps may share what they refer to, so a small file can take for ever to look at.
bool Qcow2Check::out_of_patience(uint64_t entries) {
    if (looked_at_ > kMaxLookedAt) return true;
    looked_at_ += entries;
    if (looked_at_ <= kMaxLookedAt) return false;
    ++report_.check_errors;
    report_.say("ERROR there is too much to look at");
    return true;
}

void Qcow2Check::count_table(const std::vector<uint64_t>& l1, bool active) {
    std::unordered_set<uint64_t> seen;
    for (const uint64_t l1_entry : l1) {
        const uint64_t offset = l1_entry & kOffsetMask;
        if (offset == 0) continue;
        if (!image_.valid_table(l1_entry) || !seen.insert(offset).second) {
            corrupt(fmt::format("a second level table at {:#x} cannot be there", offset));
            continue;
        }
        use(offset, header_.cluster_size(), "a second level table");
        if (out_of_patience(header_.l2_entries())) return;
        if ((offset >> header_.cluster_bits) >= file_clusters_) continue;
        uint64_t uses = 0;
        if (active && image_.refcounts_.get(offset >> header_.cluster_bits, uses) ==
                          BlockStatus::kOk &&
            (uses == 1) != ((l1_entry & kCopied) != 0))
            flag_wrong(fmt::format("OFLAG_COPIED of the table at {:#x} with {} references", offset,
                                uses));
        TableCache::Table* table = nullptr;
        if (image_.tables_.get(offset, table) != BlockStatus::kOk) {
            ++report_.check_errors;
            continue;
        }
        for (uint64_t i = 0; i < header_.l2_entries(); ++i)
            count_entry(image_.entry_at(*table, i), active);
    }
}

void Qcow2Check::count_entry(const Qcow2Image::Entry& entry, bool active) {
    for (uint64_t sub = 0; sub < header_.subclusters(); ++sub) {
        if (image_.state_of(entry, sub) != Qcow2Image::State::kDamaged) continue;
        corrupt(fmt::format("a second level entry {:#x} cannot be", entry.value));
        return;
    }
    if (entry.compressed()) {
        const auto place = image_.compressed_place(entry.value);
        use(place.offset, place.size, "a compressed cluster");
        if (active) ++report_.compressed_clusters, ++report_.allocated_clusters;
        return;
    }
    if (!image_.has_host_cluster(entry)) return;
    if (active) ++report_.allocated_clusters;
    if (image_.data_file_) return;
    use(entry.host(), header_.cluster_size(), "a cluster");
    uint64_t uses = 0;
    if (!active ||
        image_.refcounts_.get(entry.host() >> header_.cluster_bits, uses) != BlockStatus::kOk)
        return;
    if ((uses == 1) != entry.copied())
        flag_wrong(fmt::format("OFLAG_COPIED of the cluster at {:#x} with {} references",
                            entry.host(), uses));
}

void Qcow2Check::count_snapshots() {
    uint64_t bytes = 0;
    for (const auto& each : image_.snapshots_) {
        bytes += align_up(40 + each.extra.size() + each.facts.id.size() + each.facts.name.size(), 8);
        if (out_of_patience(each.l1_entries)) return;
        std::vector<uint64_t> l1;
        if (image_.read_l1(each.l1_offset, each.l1_entries, l1) != BlockStatus::kOk) {
            corrupt(fmt::format("the first level of snapshot '{}' cannot be read", each.facts.name));
            continue;
        }
        use(each.l1_offset, uint64_t{each.l1_entries} * 8, "a snapshot's first level table");
        count_table(l1, false);
    }
    use(header_.snapshots_offset, bytes, "the table of snapshots");
}

void Qcow2Check::count_bitmap_table(uint64_t offset, uint64_t entries) {
    if (entries > kMaxBitmapTable) {
        corrupt("a bitmap's table is too long");
        return;
    }
    if (out_of_patience(entries)) return;
    use(offset, entries * 8, "a bitmap's table");
    std::vector<std::byte> table(entries * 8);
    if (!table.empty() && image_.file().read_bytes(offset, table) != BlockStatus::kOk) {
        ++report_.check_errors;
        return;
    }
    for (uint64_t i = 0; i < entries; ++i) {
        const uint64_t place = load_big<uint64_t>(&table[i * 8]) & kOffsetMask;
        if (place != 0) use(place, header_.cluster_size(), "a bitmap's cluster");
    }
}

// [qcow2, "Bitmaps"]
void Qcow2Check::count_bitmaps() {
    if (!header_.bitmaps || (header_.autoclear & kBitmapsConsistent) == 0) return;
    const Qcow2Bitmaps& bitmaps = *header_.bitmaps;
    if (bitmaps.directory_size > kMaxBitmapDirectory) {
        corrupt("the directory of bitmaps is too long");
        return;
    }
    use(bitmaps.directory_offset, bitmaps.directory_size, "the directory of bitmaps");
    std::vector<std::byte> directory(bitmaps.directory_size);
    if (!directory.empty() &&
        image_.file().read_bytes(bitmaps.directory_offset, directory) != BlockStatus::kOk) {
        ++report_.check_errors;
        return;
    }
    uint64_t at = 0;
    for (uint32_t i = 0; i < bitmaps.count; ++i) {
        if (at + kBitmapEntryBytes > directory.size()) {
            corrupt("the directory of bitmaps is cut short");
            return;
        }
        const std::byte* entry = &directory[at];
        count_bitmap_table(load_big<uint64_t>(entry), load_big<uint32_t>(entry + 8));
        at = align_up(at + kBitmapEntryBytes + load_big<uint32_t>(entry + 20) +
                          load_big<uint16_t>(entry + 18), 8);
    }
}

void Qcow2Check::compare() {
    if (repair_ == Repair::kAll && repair_blocks() != BlockStatus::kOk) {
        ++report_.check_errors;
        return;
    }
    for (uint64_t i = 0; i < uses_.size(); ++i) compare_one(i);
    // What blocks count beyond the end of the file.
    if (repair_ == Repair::kNothing) return;
    Qcow2Image& image = image_;
    bool good = image.commit() == BlockStatus::kOk;
    if (repair_ == Repair::kAll && good) {
        good = image.refresh_copied() == BlockStatus::kOk;
        report_.corruptions_fixed += good ? flags_wrong_ + (blocks_bad_ ? 1 : 0) : 0;
        if (report_.corruptions <= report_.corruptions_fixed)
            image.header_.incompatible &= ~(kDirty | kCorrupt);
        good = good && image.file().flush() == BlockStatus::kOk &&
               image.write_feature_bits() == BlockStatus::kOk;
    }
    if (!good || image.flush() != BlockStatus::kOk) ++report_.check_errors;
}

void Qcow2Check::compare_one(uint64_t cluster) {
    uint64_t counted = 0;
    if (image_.refcounts_.get(cluster, counted) != BlockStatus::kOk) {
        ++report_.check_errors;
        return;
    }
    const uint64_t uses = uses_[cluster];
    if (counted == uses) return;
    const bool leak = counted > uses;
    report_.say(fmt::format("{} cluster {} refcount={} reference={}", leak ? "Leaked" : "ERROR",
                            cluster, counted, uses));
    ++(leak ? report_.leaks : report_.corruptions);
    if (repair_ == Repair::kNothing || (!leak && repair_ != Repair::kAll)) return;
    if (uses > header_.max_refcount() ||
        image_.refcounts_.set(cluster, uses) != BlockStatus::kOk) {
        ++report_.check_errors;
        return;
    }
    ++(leak ? report_.leaks_fixed : report_.corruptions_fixed);
}

// Blocks that cannot be where the table says, and those that were never made, are made anew behind
// everything else.
BlockStatus Qcow2Check::repair_blocks() {
    Qcow2Refcounts& counts = image_.refcounts_;
    if (blocks_bad_) counts.drop_bad_blocks(file_clusters_);
    for (uint64_t i = 0; i < uses_.size(); ++i) {
        if (uses_[i] == 0 || counts.has_block(i)) continue;
        const uint64_t place = std::max<uint64_t>(uses_.size(), file_clusters_);
        if (place >= counts.covered()) return BlockStatus::kNoSpace;
        TRY_BLOCK(counts.place_block(i, place));
        uses_.resize(place + 1);
        uses_[place] = 1;
    }
    return BlockStatus::kOk;
}

}  // namespace mynah
