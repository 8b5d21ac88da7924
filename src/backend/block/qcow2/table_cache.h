#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

#include "backend/block/image/image_file.h"

namespace mynah {

// Tables of one size from an image's file, kept in memory: those used last, and all that were
// changed until write_changed(). At most `capacity` unchanged ones, so memory is bounded if the
// owner writes changes out when there are many. Not for several threads.
class TableCache {
  public:
    struct Table {
        uint64_t offset = 0;
        bool changed = false;
        std::vector<std::byte> bytes;
    };

    TableCache(ImageFile& file, size_t table_bytes, size_t capacity)
        : file_(file), table_bytes_(table_bytes), capacity_(capacity) {}

    // The table at a place in the file, valid until the next call. kIoError: the file.
    BlockStatus get(uint64_t offset, Table*& table);
    // One that is not in the file yet, all zeroes, changed.
    Table& add(uint64_t offset);
    void mark_changed(Table& table);
    // Forgets it, changed or not: its place is not a table any more.
    void forget(uint64_t offset);
    void forget_all();
    BlockStatus write_changed();
    // What write_changed() would write.
    template <typename Function>
    BlockStatus for_each_changed(Function each) {
        for (const Table& table : order_)
            if (table.changed) TRY_BLOCK(each(table));
        return BlockStatus::kOk;
    }
    size_t changed() const { return changed_; }
    size_t capacity() const { return capacity_; }

  private:
    using Order = std::list<Table>;  // used last first
    void make_room();

    ImageFile& file_;
    const size_t table_bytes_;
    const size_t capacity_;
    Order order_;
    std::unordered_map<uint64_t, Order::iterator> places_;
    size_t changed_ = 0;
};

}  // namespace mynah
