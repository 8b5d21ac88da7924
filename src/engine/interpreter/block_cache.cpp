#include "engine/interpreter/block_cache.h"

#include <algorithm>
#include <new>

#include "base/bits.h"
#include "base/check.h"

namespace mynah::interpreter {

BlockCache::BlockCache(size_t arena_bytes, uintptr_t ram, uint64_t ram_bytes)
    : ram_(ram),
      ram_pages_(std::max<uint64_t>(ram_bytes >> 12, 1)),
      arena_bytes_(arena_bytes),
      arena_(new std::byte[arena_bytes]),
      buckets_(kBuckets, nullptr),
      code_pages_(ram_pages_ / 64 + 1) {}

void BlockCache::clear() {
    used_ = 0;
    ++clears_;
    std::fill(buckets_.begin(), buckets_.end(), nullptr);
    std::fill(code_pages_.begin(), code_pages_.end(), 0);
}

Block* BlockCache::insert(uintptr_t host, CodeMode mode, std::span<const Op> ops,
                          std::span<const std::byte> bytes, bool crosses_page) {
    const size_t header = align_up(sizeof(Block) + bytes.size(), 32);
    const size_t need = header + ops.size_bytes();
    CHECK(need <= arena_bytes_);
    if (used_ + need > arena_bytes_) clear();

    std::byte* at = arena_.get() + used_;
    used_ += need;
    Block* block = new (at) Block{};
    std::memcpy(at + sizeof(Block), bytes.data(), bytes.size());
    block->ops = reinterpret_cast<Op*>(at + header);
    std::memcpy(at + header, ops.data(), ops.size_bytes());
    block->byte_count = static_cast<uint16_t>(bytes.size());
    block->op_count = static_cast<uint16_t>(ops.size() - 1);
    block->host = host;
    block->mode = mode.key();
    block->crosses_page = crosses_page;

    Block*& bucket = buckets_[bucket_of(host)];
    block->next = bucket;
    bucket = block;
    mark_code_page(host);
    return block;
}

void BlockCache::remove(Block* block) {
    for (Block** link = &buckets_[bucket_of(block->host)]; *link != nullptr;
         link = &(*link)->next) {
        if (*link == block) {
            *link = block->next;
            block->host = 0;
            return;
        }
    }
}

Block* BlockCache::make_transient(CodeMode mode, std::span<const Op> ops) {
    CHECK(ops.size() <= transient_ops_.size());
    std::copy(ops.begin(), ops.end(), transient_ops_.begin());
    transient_ = {};
    transient_.ops = transient_ops_.data();
    transient_.op_count = static_cast<uint16_t>(ops.empty() ? 0 : ops.size() - 1);
    transient_.mode = mode.key();
    return &transient_;
}

}  // namespace mynah::interpreter
