#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "backend/block/qcow2/qcow2_header.h"
#include "backend/block/qcow2/table_cache.h"

namespace mynah {

// How often each cluster of a qcow2 file is used [qcow2, "Host cluster management"]: a table of
// blocks of counts. A cluster whose count is 0 is free.
//
// What guarantees consistency after a crash: raised counts are on the medium before anything that
// refers to the cluster is written (write() and a flush), and counts are lowered only when what
// referred to it is gone from the medium (free_later(), apply_frees() after a flush). A crash in
// between leaves clusters that nobody uses, no more.
class Qcow2Refcounts {
  public:
    // The header's fields that say where the table is change when it grows. Both outlive this.
    Qcow2Refcounts(ImageFile& file, Qcow2Header& header);
    Result<void> load();

    BlockStatus get(uint64_t cluster, uint64_t& count);
    // `count` clusters in a row that were free, used once now; the number of the first.
    BlockStatus allocate(uint64_t count, uint64_t& first);
    // kNoSpace: a count cannot become larger.
    BlockStatus raise(uint64_t cluster, uint64_t count);
    // One use less as soon as what is unwritten now is on the medium.
    void free_later(uint64_t cluster, uint64_t count);
    // At once: nothing that was ever written refers to it.
    BlockStatus release(uint64_t cluster, uint64_t count);
    // The header could not be written: nobody knows what it names now.
    void refuse_changes();
    size_t frees_pending() const { return frees_.size(); }
    // Everything written so far is on the medium. Adds runs that are free now.
    BlockStatus apply_frees(std::vector<std::pair<uint64_t, uint64_t>>& freed);
    bool changed() const { return blocks_.changed() > 0 || table_first_ < table_end_; }
    size_t changed_blocks() const { return blocks_.changed(); }
    size_t cache_capacity() const { return blocks_.capacity(); }
    // Writes blocks, and then what refers to new ones.
    BlockStatus write();

    // For repairs.
    BlockStatus set(uint64_t cluster, uint64_t count);
    bool has_block(uint64_t cluster) const;
    // Makes a block for this cluster's count at a place nobody uses.
    BlockStatus place_block(uint64_t cluster, uint64_t at);
    // Forgets blocks that are misplaced, beyond the end of the file, or named twice.
    void drop_bad_blocks(uint64_t file_clusters);
    const std::vector<uint64_t>& table() const { return table_; }
    // How many clusters the table can speak of.
    uint64_t covered() const { return table_.size() * per_block_; }
    BlockStatus grow_table();

  private:
    BlockStatus block_of(uint64_t cluster, TableCache::Table*& block);
    uint64_t count_in(const TableCache::Table& block, uint64_t index) const;
    void set_in(TableCache::Table& block, uint64_t index, uint64_t count);
    // Makes sure that the cluster has a block; `itself`: it is its own block now.
    BlockStatus ensure_block(uint64_t cluster, bool& itself);
    void set_table(uint64_t index, uint64_t offset);
    BlockStatus write_table();
    BlockStatus move_table(uint64_t start, uint64_t clusters, uint64_t blocks);
    bool reserved(uint64_t cluster) const;

    ImageFile& file_;
    Qcow2Header& header_;
    const uint64_t per_block_;
    std::vector<uint64_t> table_;  // offsets of blocks
    TableCache blocks_;
    size_t table_first_ = SIZE_MAX, table_end_ = 0;  // entries changed
    uint64_t search_from_ = 0;  // nothing is known of clusters from here on
    std::vector<std::pair<uint64_t, uint64_t>> frees_;
    bool broken_ = false;
};

}  // namespace mynah
