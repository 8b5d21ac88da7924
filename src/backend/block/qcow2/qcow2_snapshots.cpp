#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "backend/block/image/byte_order.h"
#include "backend/block/qcow2/qcow2_image.h"

// Internal snapshots [qcow2, "Snapshots"]: each has a first level of its own, and whatever several
// use is counted as often. Counting takes many writes; while it goes on the image is marked dirty
// (version 3), so that a crash is followed by a repair.
namespace mynah {

using namespace qcow2;

namespace {

constexpr uint64_t kEntryBytes = 40;
constexpr uint32_t kMaxExtra = 1024;

}  // namespace

BlockStatus Qcow2Image::read_l1(uint64_t offset, uint64_t entries, std::vector<uint64_t>& l1) {
    if (entries > kMaxL1Bytes / 8 || in_cluster(offset) != 0)
        return damaged("first level table", offset);
    std::vector<std::byte> bytes(entries * 8);
    if (!bytes.empty()) TRY_BLOCK(file_->read_bytes(offset, bytes));
    l1.resize(entries);
    for (size_t i = 0; i < l1.size(); ++i) l1[i] = load_big<uint64_t>(&bytes[i * 8]);
    return BlockStatus::kOk;
}

Result<void> Qcow2Image::load_snapshots() {
    uint64_t at = header_.snapshots_offset;
    const auto bad = [this](std::string_view what) {
        return image_error(*file_, fmt::format("is no usable qcow2 image: its table of snapshots {}", what));
    };
    for (uint32_t i = 0; i < header_.snapshot_count; ++i) {
        std::byte entry[kEntryBytes];
        if (at - header_.snapshots_offset > kMaxSnapshotBytes || at + kEntryBytes > file_->size())
            return bad("is too long");
        TRY(expect_ok(*file_, "read", file_->read_bytes(at, entry)));
        Snapshot snapshot;
        snapshot.l1_offset = load_big<uint64_t>(entry);
        snapshot.l1_entries = load_big<uint32_t>(entry + 8);
        const uint16_t id_size = load_big<uint16_t>(entry + 12);
        const uint16_t name_size = load_big<uint16_t>(entry + 14);
        snapshot.facts.date_seconds = load_big<uint32_t>(entry + 16);
        snapshot.facts.date_nanoseconds = load_big<uint32_t>(entry + 20);
        snapshot.facts.vm_clock_ns = load_big<uint64_t>(entry + 24);
        snapshot.facts.vm_state_size = load_big<uint32_t>(entry + 32);
        snapshot.facts.disk_size = size_;
        const uint32_t extra = load_big<uint32_t>(entry + 36);
        if (extra > kMaxExtra) return bad("has an entry with too much extra data");
        std::vector<std::byte> rest(uint64_t{extra} + id_size + name_size);
        TRY(expect_ok(*file_, "read", file_->read_bytes(at + kEntryBytes, rest)));
        snapshot.extra.assign(rest.begin(), rest.begin() + extra);
        if (extra >= 8) snapshot.facts.vm_state_size = load_big<uint64_t>(rest.data());
        if (extra >= 16) snapshot.facts.disk_size = load_big<uint64_t>(rest.data() + 8);
        const auto* text = reinterpret_cast<const char*>(rest.data()) + extra;
        snapshot.facts.id.assign(text, id_size);
        snapshot.facts.name.assign(text + id_size, name_size);
        at = align_up(at + kEntryBytes + rest.size(), 8);
        snapshots_.push_back(std::move(snapshot));
    }
    return {};
}

std::vector<ImageSnapshot> Qcow2Image::snapshots() const {
    std::vector<ImageSnapshot> list;
    for (const Snapshot& each : snapshots_) list.push_back(each.facts);
    return list;
}

BlockStatus Qcow2Image::write_snapshots(std::vector<Snapshot> wanted) {
    std::vector<std::byte> bytes;
    for (const Snapshot& each : wanted) {
        const size_t at = bytes.size();
        bytes.resize(at + kEntryBytes);
        std::byte* entry = &bytes[at];
        store_big<uint64_t>(entry, each.l1_offset);
        store_big<uint32_t>(entry + 8, each.l1_entries);
        store_big<uint16_t>(entry + 12, static_cast<uint16_t>(each.facts.id.size()));
        store_big<uint16_t>(entry + 14, static_cast<uint16_t>(each.facts.name.size()));
        store_big<uint32_t>(entry + 16, each.facts.date_seconds);
        store_big<uint32_t>(entry + 20, each.facts.date_nanoseconds);
        store_big<uint64_t>(entry + 24, each.facts.vm_clock_ns);
        store_big<uint32_t>(entry + 32, static_cast<uint32_t>(std::min<uint64_t>(
                                            each.facts.vm_state_size, UINT32_MAX)));
        store_big<uint32_t>(entry + 36, static_cast<uint32_t>(each.extra.size()));
        const std::string text = each.facts.id + each.facts.name;
        const auto* letters = reinterpret_cast<const std::byte*>(text.data());
        bytes.insert(bytes.end(), each.extra.begin(), each.extra.end());
        bytes.insert(bytes.end(), letters, letters + text.size());
        bytes.resize(align_up(bytes.size(), 8));
    }
    const uint64_t old_first = header_.snapshots_offset >> header_.cluster_bits;
    uint64_t old_bytes = 0;
    for (const Snapshot& each : snapshots_)
        old_bytes += align_up(kEntryBytes + each.extra.size() + each.facts.id.size() +
                                  each.facts.name.size(), 8);
    uint64_t place = 0;
    if (!bytes.empty()) {
        uint64_t first = 0;
        bytes.resize(align_up(bytes.size(), cluster_size()));
        TRY_BLOCK(refcounts_.allocate(bytes.size() >> header_.cluster_bits, first));
        place = first << header_.cluster_bits;
        TRY_BLOCK(file_->write_bytes(place, bytes));
    }
    TRY_BLOCK(refcounts_.write());
    TRY_BLOCK(file_->flush());
    header_.snapshot_count = static_cast<uint32_t>(wanted.size());
    header_.snapshots_offset = place;
    std::byte field[12];
    store_big<uint32_t>(field, header_.snapshot_count);
    store_big<uint64_t>(field + 4, place);
    TRY_BLOCK(file_->write_bytes(kSnapshotsField, field));
    TRY_BLOCK(file_->flush());
    snapshots_ = std::move(wanted);
    if (old_bytes > 0)
        refcounts_.free_later(old_first, (old_bytes + cluster_size() - 1) >> header_.cluster_bits);
    return BlockStatus::kOk;
}

BlockStatus Qcow2Image::change_entry_uses(const Entry& entry, Change change) {
    uint64_t first = 0, count = 0;
    if (entry.compressed()) {
        const CompressedPlace place = compressed_place(entry.value);
        first = place.offset >> header_.cluster_bits;
        count = ((place.offset + place.size - 1) >> header_.cluster_bits) - first + 1;
    } else if (has_host_cluster(entry)) {
        if (in_cluster(entry.host()) != 0) return damaged("second level entry", entry.value);
        first = entry.host() >> header_.cluster_bits;
        count = 1;
    }
    if (count == 0) return BlockStatus::kOk;
    return change == Change::kRaise ? refcounts_.raise(first, count)
                                    : refcounts_.release(first, count);
}

// Everything that a first level leads to is used once more, or once less.
BlockStatus Qcow2Image::change_uses(const std::vector<uint64_t>& l1, Change change) {
    std::unordered_set<uint64_t> seen;
    for (const uint64_t l1_entry : l1) {
        const uint64_t offset = l1_entry & kOffsetMask;
        if (offset == 0) continue;
        // One table twice would make this as long as the image likes.
        if (!valid_table(l1_entry) || !seen.insert(offset).second)
            return damaged("first level entry", l1_entry);
        TableCache::Table* table = nullptr;
        TRY_BLOCK(tables_.get(offset, table));
        for (uint64_t i = 0; i < header_.l2_entries(); ++i)
            TRY_BLOCK(change_entry_uses(entry_at(*table, i), change));
        const uint64_t cluster = offset >> header_.cluster_bits;
        TRY_BLOCK(change == Change::kRaise ? refcounts_.raise(cluster, 1)
                                           : refcounts_.release(cluster, 1));
        if (refcounts_.changed_blocks() > refcounts_.cache_capacity() / 2)
            TRY_BLOCK(refcounts_.write());
    }
    return BlockStatus::kOk;
}

// The flag that says "used once only" in everything the disk as it is now leads to.
BlockStatus Qcow2Image::refresh_copied() {
    for (size_t i = 0; i < l1_.size(); ++i) {
        const uint64_t offset = l1_[i] & kOffsetMask;
        if (offset == 0 || !valid_table(l1_[i])) continue;
        uint64_t uses = 0;
        TRY_BLOCK(refcounts_.get(offset >> header_.cluster_bits, uses));
        const uint64_t wanted = offset | (uses == 1 ? kCopied : 0);
        if (l1_[i] != wanted) {
            l1_[i] = wanted;
            l1_first_ = std::min(l1_first_, i);
            l1_end_ = std::max(l1_end_, i + 1);
        }
        TableCache::Table* table = nullptr;
        TRY_BLOCK(tables_.get(offset, table));
        for (uint64_t j = 0; j < header_.l2_entries(); ++j) {
            Entry entry = entry_at(*table, j);
            if (!has_host_cluster(entry) || data_file_) continue;
            TRY_BLOCK(refcounts_.get(entry.host() >> header_.cluster_bits, uses));
            const uint64_t value = (entry.value & ~kCopied) | (uses == 1 ? kCopied : 0);
            if (value == entry.value) continue;
            entry.value = value;
            set_entry(*table, j, entry);
        }
        if (tables_.changed() > tables_.capacity() / 2) TRY_BLOCK(tables_.write_changed());
    }
    return commit();
}

Result<size_t> Qcow2Image::find_snapshot(const std::string& id_or_name) const {
    for (size_t i = 0; i < snapshots_.size(); ++i)
        if (snapshots_[i].facts.id == id_or_name) return i;
    for (size_t i = 0; i < snapshots_.size(); ++i)
        if (snapshots_[i].facts.name == id_or_name) return i;
    return image_error(*file_, fmt::format("has no snapshot '{}'", id_or_name));
}

Result<void> Qcow2Image::create_snapshot(const std::string& name, uint32_t date_seconds) {
    const auto sure = [this](BlockStatus status) {
        return expect_ok(*file_, "changed", status);
    };
    if (data_file_) return cannot("hold snapshots when it has a data file");
    if (name.empty() || name.size() > 255) return Error("the name of a snapshot: expected 1 to 255 bytes");
    if (snapshots_.size() >= kMaxSnapshots) return cannot("hold more than 65536 snapshots");
    TRY(sure(before_change()));
    TRY(sure(flush()));
    TRY(sure(set_dirty(true)));
    if (const BlockStatus status = change_uses(l1_, Change::kRaise); status != BlockStatus::kOk) {
        check(Repair::kAll);  // counts as they were
        if (status != BlockStatus::kNoSpace) return image_error(*file_, "changed", status);
        return cannot("hold another snapshot: its reference counts are too narrow");
    }
    Snapshot snapshot;
    uint64_t id = 0;
    for (const Snapshot& each : snapshots_)
        id = std::max<uint64_t>(id, std::strtoul(each.facts.id.c_str(), nullptr, 10));
    snapshot.facts.id = std::to_string(id + 1);
    snapshot.facts.name = name;
    snapshot.facts.date_seconds = date_seconds;
    snapshot.facts.disk_size = size_;
    snapshot.extra.resize(24);
    store_big<uint64_t>(&snapshot.extra[8], size_);
    store_big<uint64_t>(&snapshot.extra[16], ~uint64_t{0});  // no instruction count
    snapshot.l1_entries = header_.l1_entries;
    std::vector<std::byte> bytes(align_up(std::max<uint64_t>(l1_.size() * 8, 1), cluster_size()));
    for (size_t i = 0; i < l1_.size(); ++i) store_big<uint64_t>(&bytes[i * 8], l1_[i] & ~kCopied);
    uint64_t first = 0;
    TRY(sure(refcounts_.allocate(bytes.size() >> header_.cluster_bits, first)));
    snapshot.l1_offset = first << header_.cluster_bits;
    TRY(sure(file_->write_bytes(snapshot.l1_offset, bytes)));
    TRY(sure(refresh_copied()));
    std::vector<Snapshot> wanted = snapshots_;
    wanted.push_back(std::move(snapshot));
    TRY(sure(write_snapshots(std::move(wanted))));
    TRY(sure(flush()));
    return sure(set_dirty(false));
}

Result<void> Qcow2Image::delete_snapshot(const std::string& id_or_name) {
    const auto sure = [this](BlockStatus status) {
        return expect_ok(*file_, "changed", status);
    };
    const size_t index = TRY(find_snapshot(id_or_name));
    const Snapshot gone = snapshots_[index];
    std::vector<uint64_t> l1;
    TRY(sure(read_l1(gone.l1_offset, gone.l1_entries, l1)));
    TRY(sure(flush()));
    TRY(sure(set_dirty(true)));
    std::vector<Snapshot> wanted = snapshots_;
    wanted.erase(wanted.begin() + static_cast<ptrdiff_t>(index));
    TRY(sure(write_snapshots(std::move(wanted))));
    TRY(sure(change_uses(l1, Change::kLower)));
    refcounts_.free_later(gone.l1_offset >> header_.cluster_bits,
                          (uint64_t{std::max(gone.l1_entries, 1u)} * 8 + cluster_size() - 1) >>
                              header_.cluster_bits);
    tables_.forget_all();  // nothing in it is unwritten, and tables may be free now
    TRY(sure(commit()));
    TRY(sure(refresh_copied()));
    TRY(sure(flush()));
    return sure(set_dirty(false));
}

Result<void> Qcow2Image::view_snapshot(const std::string& id_or_name) {
    const Snapshot& chosen = snapshots_[TRY(find_snapshot(id_or_name))];
    std::vector<uint64_t> l1;
    TRY(expect_ok(*file_, "read", read_l1(chosen.l1_offset, chosen.l1_entries, l1)));
    if (header_.l1_entries_for(chosen.facts.disk_size) > l1.size())
        return image_error(*file_, "the snapshot is damaged: its first level is too short");
    l1_ = std::move(l1);
    size_ = chosen.facts.disk_size;
    return {};
}

Result<void> Qcow2Image::apply_snapshot(const std::string& id_or_name) {
    const auto sure = [this](BlockStatus status) {
        return expect_ok(*file_, "changed", status);
    };
    const Snapshot chosen = snapshots_[TRY(find_snapshot(id_or_name))];
    if (chosen.facts.disk_size != size_ &&
        header_.l1_entries_for(chosen.facts.disk_size) > chosen.l1_entries)
        return image_error(*file_, "the snapshot is damaged: its first level is too short");
    std::vector<uint64_t> l1;
    TRY(sure(read_l1(chosen.l1_offset, chosen.l1_entries, l1)));
    // Never shorter than the present size wants: it changes a moment later.
    l1.resize(std::max<uint64_t>({l1.size(), header_.l1_entries_for(chosen.facts.disk_size),
                                  uint64_t{header_.l1_entries}}));
    TRY(sure(before_change()));
    TRY(sure(flush()));
    TRY(sure(set_dirty(true)));
    if (const BlockStatus status = change_uses(l1, Change::kRaise); status != BlockStatus::kOk) {
        check(Repair::kAll);
        return image_error(*file_, "changed", status);
    }
    const std::vector<uint64_t> old = l1_;
    TRY(replace_l1(std::move(l1)));
    header_.size = size_ = chosen.facts.disk_size;
    std::byte field[8];
    store_big<uint64_t>(field, size_);
    TRY(sure(file_->write_bytes(kSizeField, field)));
    TRY(sure(flush()));
    TRY(sure(change_uses(old, Change::kLower)));
    tables_.forget_all();
    TRY(sure(refresh_copied()));
    TRY(sure(flush()));
    return sure(set_dirty(false));
}

}  // namespace mynah
