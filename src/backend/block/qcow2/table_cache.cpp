#include "backend/block/qcow2/table_cache.h"

#include <algorithm>

namespace mynah {

BlockStatus TableCache::get(uint64_t offset, Table*& table) {
    if (!order_.empty() && order_.front().offset == offset) {
        table = &order_.front();
        return BlockStatus::kOk;
    }
    if (const auto found = places_.find(offset); found != places_.end()) {
        order_.splice(order_.begin(), order_, found->second);
        table = &order_.front();
        return BlockStatus::kOk;
    }
    std::vector<std::byte> bytes(table_bytes_);
    TRY_BLOCK(file_.read_bytes(offset, bytes));
    make_room();
    order_.push_front({offset, false, std::move(bytes)});
    places_[offset] = order_.begin();
    table = &order_.front();
    return BlockStatus::kOk;
}

TableCache::Table& TableCache::add(uint64_t offset) {
    forget(offset);
    make_room();
    order_.push_front({offset, true, std::vector<std::byte>(table_bytes_)});
    places_[offset] = order_.begin();
    ++changed_;
    return order_.front();
}

void TableCache::mark_changed(Table& table) {
    if (!table.changed) ++changed_;
    table.changed = true;
}

void TableCache::forget(uint64_t offset) {
    const auto found = places_.find(offset);
    if (found == places_.end()) return;
    if (found->second->changed) --changed_;
    order_.erase(found->second);
    places_.erase(found);
}

void TableCache::forget_all() {
    order_.clear();
    places_.clear();
    changed_ = 0;
}

void TableCache::make_room() {
    if (order_.size() - changed_ < capacity_) return;
    for (auto each = order_.rbegin(); each != order_.rend(); ++each) {
        if (each->changed) continue;
        places_.erase(each->offset);
        order_.erase(std::next(each).base());
        return;
    }
}

BlockStatus TableCache::write_changed() {
    if (changed_ == 0) return BlockStatus::kOk;
    std::vector<Table*> tables;
    for (Table& table : order_)
        if (table.changed) tables.push_back(&table);
    std::ranges::sort(tables, {}, [](const Table* table) { return table->offset; });
    for (Table* table : tables) {
        TRY_BLOCK(file_.write_bytes(table->offset, table->bytes));
        table->changed = false;
        --changed_;
    }
    return BlockStatus::kOk;
}

}  // namespace mynah
