#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "base/bits.h"
#include "engine/interpreter/code_mode.h"
#include "engine/interpreter/op.h"

namespace mynah::interpreter {

// A run of decoded instructions that lies in one page (or is one instruction that crosses into
// the next), with the bytes it was decoded from. The bytes are compared with memory every time
// the block is entered, which costs a few cycles and makes every kind of code modification work:
// by this vCPU, by others, by DMA, through any alias. Modification of the block being run, by
// itself, is the one case left; Core::store_slow sees it and calls discard().
struct Block {
    uintptr_t host = 0;  // of the first byte: the key, with mode; 0 when removed
    Op* ops = nullptr;   // op_count and one that ends the block
    uint16_t byte_count = 0;
    uint16_t op_count = 0;
    uint8_t mode = 0;
    bool crosses_page = false;
    Block* successor = nullptr;  // what was run after it the last time; only a guess
    Block* next = nullptr;       // in its bucket

    // The bytes lie behind the header, so that short blocks are checked within one cache line.
    const std::byte* bytes() const { return reinterpret_cast<const std::byte*>(this + 1); }

    // Whether memory still holds what the block was decoded from. Reads byte_count bytes at
    // `host_bytes`, in steps of eight of which the last overlaps the one before it.
    bool matches(const std::byte* host_bytes) const {
        const unsigned count = byte_count;
        if (count >= 8) [[likely]] {
            for (unsigned i = 0; i + 8 < count; i += 8) {
                if (differ<uint64_t>(host_bytes, i)) return false;
            }
            return !differ<uint64_t>(host_bytes, count - 8);
        }
        if (count >= 4)
            return !differ<uint32_t>(host_bytes, 0) && !differ<uint32_t>(host_bytes, count - 4);
        if (count >= 2)
            return !differ<uint16_t>(host_bytes, 0) && !differ<uint16_t>(host_bytes, count - 2);
        return !differ<uint8_t>(host_bytes, 0);
    }

  private:
    template <typename T>
    bool differ(const std::byte* host_bytes, unsigned at) const {
        return load_unaligned<T>(bytes() + at) != load_unaligned<T>(host_bytes + at);
    }
};

// The blocks of one vCPU, in an arena of fixed size that is emptied when it is full.
class BlockCache {
  public:
    static constexpr size_t kBuckets = 1u << 14;
    static constexpr unsigned kMaxOps = 64;

    // ram: where blocks can lie, for the marks of code pages; code elsewhere shares marks.
    BlockCache(size_t arena_bytes, uintptr_t ram, uint64_t ram_bytes);

    Block* find(uintptr_t host, CodeMode mode) const {
        for (Block* block = buckets_[bucket_of(host)]; block != nullptr; block = block->next) {
            if (block->host == host && block->mode == mode.key()) return block;
        }
        return nullptr;
    }

    // Stores a block; empties the cache first if it would not fit. `ops` ends with the op that
    // ends the block. Pointers to blocks are valid until the next insert.
    Block* insert(uintptr_t host, CodeMode mode, std::span<const Op> ops,
                  std::span<const std::byte> bytes, bool crosses_page);
    void remove(Block* block);
    void clear();
    uint64_t clears() const { return clears_; }
    // A block kept out of the table, for code that cannot be cached. Valid until the next call.
    Block* make_transient(CodeMode mode, std::span<const Op> ops);

    // Pages that blocks were made of: stores to them are looked at, so that a block notices when
    // it modifies itself.
    bool is_code_page(uintptr_t host) const {
        const size_t n = page_number(host);
        return ((code_pages_[n / 64] >> (n % 64)) & 1) != 0;
    }
    void mark_code_page(uintptr_t host) {
        const size_t n = page_number(host);
        code_pages_[n / 64] |= bit(n % 64);
    }
    // The page is written to and not run now: it is marked again when one of its blocks is.
    void unmark_code_page(uintptr_t host) {
        const size_t n = page_number(host);
        code_pages_[n / 64] &= ~bit(n % 64);
    }

  private:
    static size_t bucket_of(uintptr_t host) {
        return ((host >> 2) ^ host ^ (host >> 13)) & (kBuckets - 1);
    }
    size_t page_number(uintptr_t host) const { return ((host - ram_) >> 12) % ram_pages_; }

    const uintptr_t ram_;
    const uint64_t ram_pages_;
    const size_t arena_bytes_;
    std::unique_ptr<std::byte[]> arena_;
    size_t used_ = 0;
    uint64_t clears_ = 0;
    std::vector<Block*> buckets_;
    std::vector<uint64_t> code_pages_;
    Block transient_{};
    std::array<Op, 2> transient_ops_;
};

}  // namespace mynah::interpreter
