#include "backend/block/qcow2/qcow2_refcounts.h"

#include <algorithm>
#include <unordered_set>

#include "backend/block/image/byte_order.h"
#include "base/log.h"

namespace mynah {
namespace {

constexpr uint64_t kCacheBytes = 8 << 20;
constexpr uint64_t kMaxCountedBehindEnd = 1 << 20;  // clusters

size_t blocks_kept(uint64_t cluster_size) {
    return std::clamp<uint64_t>(kCacheBytes / cluster_size, 8, 4096);
}

}  // namespace

Qcow2Refcounts::Qcow2Refcounts(ImageFile& file, Qcow2Header& header)
    : file_(file),
      header_(header),
      per_block_(header.refcounts_per_block()),
      blocks_(file, header.cluster_size(), blocks_kept(header.cluster_size())) {}

Result<void> Qcow2Refcounts::load() {
    // Its size was checked with the header.
    std::vector<std::byte> bytes(header_.refcount_table_clusters * header_.cluster_size());
    TRY(expect_ok(file_, "read", file_.read_bytes(header_.refcount_table_offset, bytes)));
    table_.resize(bytes.size() / 8);
    for (size_t i = 0; i < table_.size(); ++i) table_[i] = load_big<uint64_t>(&bytes[i * 8]);
    return {};
}

bool Qcow2Refcounts::has_block(uint64_t cluster) const {
    const uint64_t index = cluster / per_block_;
    return index < table_.size() && table_[index] != 0;
}

BlockStatus Qcow2Refcounts::block_of(uint64_t cluster, TableCache::Table*& block) {
    const uint64_t offset = table_[cluster / per_block_];
    if ((offset & (header_.cluster_size() - 1)) != 0 || offset > qcow2::kOffsetMask) {
        log(LogLevel::kError, "{}: damaged: a block of reference counts at {:#x}", file_.name(),
            offset);
        return BlockStatus::kIoError;
    }
    return blocks_.get(offset, block);
}

uint64_t Qcow2Refcounts::count_in(const TableCache::Table& block, uint64_t index) const {
    const std::byte* bytes = block.bytes.data();
    const uint32_t bits = header_.refcount_bits();
    switch (bits) {
        case 64:
            return load_big<uint64_t>(bytes + index * 8);
        case 32:
            return load_big<uint32_t>(bytes + index * 4);
        case 16:
            return load_big<uint16_t>(bytes + index * 2);
        default: {  // several to a byte, from its lowest bit up
            const auto byte = static_cast<uint8_t>(bytes[index * bits / 8]);
            return (byte >> (index * bits % 8)) & low_mask(bits);
        }
    }
}

void Qcow2Refcounts::set_in(TableCache::Table& block, uint64_t index, uint64_t count) {
    std::byte* bytes = block.bytes.data();
    const uint32_t bits = header_.refcount_bits();
    blocks_.mark_changed(block);
    switch (bits) {
        case 64:
            return store_big<uint64_t>(bytes + index * 8, count);
        case 32:
            return store_big<uint32_t>(bytes + index * 4, static_cast<uint32_t>(count));
        case 16:
            return store_big<uint16_t>(bytes + index * 2, static_cast<uint16_t>(count));
        default: {
            auto byte = static_cast<uint8_t>(bytes[index * bits / 8]);
            const auto shift = static_cast<unsigned>(index * bits % 8);
            byte = static_cast<uint8_t>((byte & ~(low_mask(bits) << shift)) | (count << shift));
            bytes[index * bits / 8] = std::byte{byte};
        }
    }
}

BlockStatus Qcow2Refcounts::get(uint64_t cluster, uint64_t& count) {
    count = 0;
    if (!has_block(cluster)) return BlockStatus::kOk;
    TableCache::Table* block = nullptr;
    TRY_BLOCK(block_of(cluster, block));
    count = count_in(*block, cluster % per_block_);
    return BlockStatus::kOk;
}

BlockStatus Qcow2Refcounts::set(uint64_t cluster, uint64_t count) {
    if (!has_block(cluster)) return count == 0 ? BlockStatus::kOk : BlockStatus::kIoError;
    TableCache::Table* block = nullptr;
    TRY_BLOCK(block_of(cluster, block));
    set_in(*block, cluster % per_block_, count);
    if (count == 0) search_from_ = std::min(search_from_, cluster);
    return BlockStatus::kOk;
}

void Qcow2Refcounts::set_table(uint64_t index, uint64_t offset) {
    table_[index] = offset;
    table_first_ = std::min<size_t>(table_first_, index);
    table_end_ = std::max<size_t>(table_end_, index + 1);
}

BlockStatus Qcow2Refcounts::place_block(uint64_t cluster, uint64_t at) {
    while (cluster >= covered()) TRY_BLOCK(grow_table());
    blocks_.add(at << header_.cluster_bits);
    set_table(cluster / per_block_, at << header_.cluster_bits);
    return BlockStatus::kOk;
}

void Qcow2Refcounts::drop_bad_blocks(uint64_t file_clusters) {
    std::unordered_set<uint64_t> seen;
    for (size_t i = 0; i < table_.size(); ++i) {
        const uint64_t offset = table_[i];
        if (offset == 0) continue;
        const bool good = (offset & (header_.cluster_size() - 1)) == 0 &&
                          (offset >> header_.cluster_bits) < file_clusters &&
                          seen.insert(offset).second;
        if (!good) set_table(i, 0);
    }
}

BlockStatus Qcow2Refcounts::ensure_block(uint64_t cluster, bool& itself) {
    itself = false;
    while (cluster >= covered()) TRY_BLOCK(grow_table());
    if (has_block(cluster)) return BlockStatus::kOk;
    // A cluster without a block is free: it becomes the block, which says so of itself.
    TRY_BLOCK(place_block(cluster, cluster));
    itself = true;
    return set(cluster, 1);
}

// What is never free, whatever the counts of a hostile image say: a guest that got the header's
// cluster for its data could name any file as the backing file of the next start.
bool Qcow2Refcounts::reserved(uint64_t cluster) const {
    const auto in = [&](uint64_t offset, uint64_t bytes) {
        const uint64_t first = offset >> header_.cluster_bits;
        const uint64_t clusters =
            (bytes + header_.cluster_size() - 1) >> header_.cluster_bits;
        return cluster >= first && cluster - first < clusters;
    };
    return cluster == 0 || in(header_.l1_offset, uint64_t{header_.l1_entries} * 8) ||
           in(header_.refcount_table_offset,
              header_.refcount_table_clusters * header_.cluster_size());
}

BlockStatus Qcow2Refcounts::allocate(uint64_t count, uint64_t& first) {
    if (broken_) return BlockStatus::kIoError;
    const uint64_t file_clusters = file_.size() >> header_.cluster_bits;
    uint64_t start = search_from_, run = 0;
    // Ends at the latest when the table can grow no more.
    while (run < count) {
        const uint64_t cluster = start + run;
        if ((cluster << header_.cluster_bits) > qcow2::kOffsetMask) return BlockStatus::kNoSpace;
        if (reserved(cluster)) {
            start = cluster + 1;
            run = 0;
            continue;
        }
        bool itself = false;
        TRY_BLOCK(ensure_block(cluster, itself));
        uint64_t uses = 1;
        if (!itself) TRY_BLOCK(get(cluster, uses));
        if (uses == 0) {
            ++run;
        } else {
            // Damaged, maybe on purpose: blocks full of counts for what the file has not.
            if (cluster > file_clusters + kMaxCountedBehindEnd) return BlockStatus::kIoError;
            start = cluster + 1;
            run = 0;
        }
    }
    for (uint64_t i = 0; i < count; ++i) TRY_BLOCK(set(start + i, 1));
    first = start;
    search_from_ = start + count;
    return BlockStatus::kOk;
}

BlockStatus Qcow2Refcounts::raise(uint64_t cluster, uint64_t count) {
    for (uint64_t i = cluster; i < cluster + count; ++i) {
        uint64_t uses = 0;
        TRY_BLOCK(get(i, uses));
        if (uses == header_.max_refcount()) return BlockStatus::kNoSpace;
        TRY_BLOCK(set(i, uses + 1));
    }
    return BlockStatus::kOk;
}

void Qcow2Refcounts::free_later(uint64_t cluster, uint64_t count) {
    if (!frees_.empty() && frees_.back().first + frees_.back().second == cluster)
        frees_.back().second += count;
    else
        frees_.emplace_back(cluster, count);
}

BlockStatus Qcow2Refcounts::release(uint64_t cluster, uint64_t count) {
    for (uint64_t i = cluster; i < cluster + count; ++i) {
        uint64_t uses = 0;
        TRY_BLOCK(get(i, uses));
        if (uses == 0) {
            log(LogLevel::kError, "{}: damaged: cluster {} is freed and was free", file_.name(), i);
            return BlockStatus::kIoError;
        }
        TRY_BLOCK(set(i, uses - 1));
    }
    return BlockStatus::kOk;
}

void Qcow2Refcounts::refuse_changes() {
    log(LogLevel::kError, "{}: its header could not be written: it is not changed any more",
        file_.name());
    broken_ = true;
}

BlockStatus Qcow2Refcounts::apply_frees(std::vector<std::pair<uint64_t, uint64_t>>& freed) {
    const auto frees = std::exchange(frees_, {});
    BlockStatus first_problem = BlockStatus::kOk;  // one that fails keeps no other from being freed
    for (const auto& [cluster, count] : frees) {
        for (uint64_t i = cluster; i < cluster + count; ++i) {
            uint64_t uses = 0;
            BlockStatus status = release(i, 1);
            if (status == BlockStatus::kOk) status = get(i, uses);
            if (first_problem == BlockStatus::kOk) first_problem = status;
            if (status != BlockStatus::kOk || uses > 0) continue;
            blocks_.forget(i << header_.cluster_bits);
            if (!freed.empty() && freed.back().first + freed.back().second == i)
                ++freed.back().second;
            else
                freed.emplace_back(i, 1);
        }
    }
    return first_problem;
}

BlockStatus Qcow2Refcounts::write() {
    if (broken_) return BlockStatus::kIoError;
    TRY_BLOCK(blocks_.write_changed());
    if (table_first_ >= table_end_) return BlockStatus::kOk;
    TRY_BLOCK(file_.flush());  // a block is there before it is referred to
    return write_table();
}

BlockStatus Qcow2Refcounts::write_table() {
    std::vector<std::byte> bytes((table_end_ - table_first_) * 8);
    for (size_t i = table_first_; i < table_end_; ++i)
        store_big<uint64_t>(&bytes[(i - table_first_) * 8], table_[i]);
    TRY_BLOCK(file_.write_bytes(header_.refcount_table_offset + table_first_ * 8, bytes));
    table_first_ = SIZE_MAX;
    table_end_ = 0;
    return BlockStatus::kOk;
}

// The new table goes behind everything that the old one can speak of, and behind it go the blocks
// that speak of both.
BlockStatus Qcow2Refcounts::grow_table() {
    const uint64_t size = header_.cluster_size(), bits = header_.cluster_bits;
    const uint64_t start = covered(), old_entries = table_.size();
    uint64_t clusters = uint64_t{header_.refcount_table_clusters} * 2, blocks = 0;
    for (;; ++clusters) {
        blocks = (clusters + per_block_ - 2) / (per_block_ - 1);
        if (clusters * size / 8 >= old_entries + blocks) break;
    }
    if (clusters * size > qcow2::kMaxRefcountTableBytes) return BlockStatus::kNoSpace;
    const uint64_t old_offset = header_.refcount_table_offset;
    const auto old_clusters = header_.refcount_table_clusters;
    const BlockStatus status = move_table(start, clusters, blocks);
    if (status == BlockStatus::kOk) {
        free_later(old_offset >> bits, old_clusters);
        return status;
    }
    // The old table is the table still; of the new one nothing may be left in memory.
    for (uint64_t i = 0; i < blocks; ++i) blocks_.forget((start + clusters + i) << bits);
    table_.resize(old_entries);
    header_.refcount_table_offset = old_offset;
    header_.refcount_table_clusters = old_clusters;
    table_first_ = 0;
    table_end_ = table_.size();
    return status;
}

BlockStatus Qcow2Refcounts::move_table(uint64_t start, uint64_t clusters, uint64_t blocks) {
    const uint64_t bits = header_.cluster_bits, old_entries = table_.size();
    table_.resize((clusters << bits) / 8);
    for (uint64_t i = 0; i < blocks; ++i) {
        const uint64_t at = start + clusters + i;
        table_[old_entries + i] = at << bits;
        blocks_.add(at << bits);
    }
    for (uint64_t i = 0; i < clusters + blocks; ++i) TRY_BLOCK(set(start + i, 1));
    TRY_BLOCK(blocks_.write_changed());
    header_.refcount_table_offset = start << bits;
    header_.refcount_table_clusters = static_cast<uint32_t>(clusters);
    table_first_ = 0;
    table_end_ = table_.size();
    TRY_BLOCK(write_table());
    TRY_BLOCK(file_.flush());
    std::byte field[12];
    store_big<uint64_t>(field, header_.refcount_table_offset);
    store_big<uint32_t>(field + 8, header_.refcount_table_clusters);
    const BlockStatus named = file_.write_bytes(qcow2::kRefcountTableField, field);
    if (named == BlockStatus::kOk) return file_.flush();
    refuse_changes();
    return named;
}

}  // namespace mynah
