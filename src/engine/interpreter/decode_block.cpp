// From guest bytes to blocks of ops.

#include <algorithm>
#include <array>

#include "engine/interpreter/block_cache.h"
#include "engine/interpreter/builder.h"
#include "engine/interpreter/core.h"

namespace mynah::interpreter {

namespace {

Outcome undefined(Core& core, const Op& op) {
    Instruction instruction;
    std::array<std::byte, kMaxInstructionLength> bytes;
    const uint64_t base = core.mode.code_size == CodeSize::k64 ? 0 : core.s.cs().base;
    if (op.length != 0 && core.load_bytes(base + core.rip_of(op), bytes.data(), op.length) &&
        decode(std::span(bytes).first(op.length), core.mode.code_size, instruction) ==
            DecodeStatus::kOk) {
        ++core.stats.undefined[ZydisMnemonicGetString(instruction.mnemonic())];
    }
    return core.raise(Exception::ud());
}

Outcome undefined_on_purpose(Core& core, const Op&) { return core.raise(Exception::ud()); }
Outcome too_long(Core& core, const Op&) { return core.raise(Exception::gp()); }

Op terminator(Handler handler, unsigned offset) {
    Op op;
    op.handler = handler;
    op.offset = static_cast<uint16_t>(offset);
    return op;
}

}  // namespace

Outcome end_of_block(Core& core, const Op& op) { return core.jump(core.rip_of(op)); }

Block* Core::find_block() {
    uint64_t linear = s.rip;
    if (mode.code_size == CodeSize::k64) {
        if (!canonical(linear)) {
            fault = Exception::gp();
            return nullptr;
        }
    } else {
        if (linear > s.cs().limit) {
            fault = Exception::gp();
            return nullptr;
        }
        linear = (linear + s.cs().base) & 0xffffffff;
    }
    const SoftTlb::Entry& entry = code_table_->entries[SoftTlb::index(linear)];
    if ((entry.execute_tag ^ linear) >= kPageSize) {
        Piece piece;
        if (!resolve(linear, AccessKind::kExecute, access_mode_, piece)) return nullptr;
        if (piece.host == nullptr) return find_uncached_block(linear);
    }
    const uintptr_t host = entry.host + (linear & kPageMask);
    const auto* bytes = reinterpret_cast<const std::byte*>(host);
    Block* block = previous_->successor;
    if (block == nullptr || block->host != host || block->mode != mode.key()) {
        block = blocks_->find(host, mode);
        previous_->successor = block;
    }
    if (block != nullptr) {
        const bool in_limit =
            mode.code_size == CodeSize::k64 || s.rip + block->byte_count - 1 <= s.cs().limit;
        if (block->crosses_page) {
            // What is there now may end before the next page, which then must not be looked at.
            const auto in_page = static_cast<unsigned>(kPageSize - (linear & kPageMask));
            if (std::memcmp(block->bytes(), bytes, in_page) == 0) {
                return decode_crossing(linear, bytes, in_page);
            }
            blocks_->remove(block);
        } else if (in_limit) {
            if (block->matches(bytes)) {
                if (!blocks_->is_code_page(host)) [[unlikely]] {
                    tlb_.forget_writes(host & ~kPageMask);
                    blocks_->mark_code_page(host);
                }
                return previous_ = block;
            }
            blocks_->remove(block);
        }
    }
    return decode_block(linear, bytes);
}

// Decodes up to max_ops instructions from `bytes`; stops behind a branch, before one that is cut
// off by the end of bytes (byte_count then ends before it). Returns the number of ops, terminator
// excluded.
unsigned Core::decode_ops(std::span<const std::byte> bytes, unsigned max_ops, std::span<Op> ops,
                          unsigned& byte_count) {
    unsigned count = 0, offset = 0;
    while (count < max_ops && offset < bytes.size()) {
        const Instruction* instruction = nullptr;
        const auto rest = bytes.subspan(offset);
        const DecodeStatus status = decoder_.decode(rest, mode.code_size, instruction);
        if (status == DecodeStatus::kTruncated) break;
        Op& op = ops[count];
        op = Op{};
        op.offset = static_cast<uint16_t>(offset);
        if (status != DecodeStatus::kOk) {
            // All 15 bytes, or what the page holds, decide that it is invalid.
            op.handler = status == DecodeStatus::kTooLong ? too_long : undefined_on_purpose;
            offset += static_cast<unsigned>(std::min<size_t>(rest.size(), kMaxInstructionLength));
            op.length = 1;
            ++count;
            break;
        }
        op.length = instruction->info.length;
        const bool last = build_op(*instruction, mode, shared, op, undefined);
        offset += op.length;
        ++count;
        if (last) break;
    }
    byte_count = offset;
    ops[count] = terminator(end_of_block, offset);
    return count;
}

Block* Core::decode_block(uint64_t linear, const std::byte* host) {
    auto in_page = static_cast<unsigned>(kPageSize - (linear & kPageMask));
    bool limited = false;
    if (mode.code_size != CodeSize::k64) {
        // Bytes behind the segment's limit must not be fetched.
        const uint64_t in_segment = uint64_t{s.cs().limit} - s.rip + 1;
        if (in_segment < in_page) {
            in_page = static_cast<unsigned>(in_segment);
            limited = true;
        }
    }
    // Decode a copy: other processors may be writing here.
    std::array<std::byte, 512> bytes;
    const unsigned size = std::min<unsigned>(in_page, bytes.size());
    std::memcpy(bytes.data(), host, size);

    std::array<Op, BlockCache::kMaxOps + 1> ops;
    unsigned byte_count = 0;
    const unsigned count =
        decode_ops(std::span(bytes).first(size), BlockCache::kMaxOps, ops, byte_count);
    if (count == 0) {
        if (limited) {
            fault = Exception::gp();
            return nullptr;
        }
        return decode_crossing(linear, host, in_page);
    }
    const uintptr_t page = reinterpret_cast<uintptr_t>(host) & ~kPageMask;
    if (!blocks_->is_code_page(page)) tlb_.forget_writes(page);
    return previous_ = blocks_->insert(reinterpret_cast<uintptr_t>(host), mode,
                                       std::span(ops).first(count + 1),
                                       std::span(bytes).first(byte_count), false);
}

// One instruction that reaches into the next page, which is fetched only now.
Block* Core::decode_crossing(uint64_t linear, const std::byte* host, unsigned in_page) {
    uint64_t second = linear + in_page;
    if (mode.code_size != CodeSize::k64) second &= 0xffffffff;
    Piece piece;
    if (!resolve(second, AccessKind::kExecute, access_mode_, piece)) return nullptr;
    std::array<std::byte, 2 * kMaxInstructionLength> bytes;
    std::memcpy(bytes.data(), host, in_page);
    unsigned more = kMaxInstructionLength;
    if (mode.code_size != CodeSize::k64) {
        more = static_cast<unsigned>(
            std::min<uint64_t>(more, uint64_t{s.cs().limit} - s.rip + 1 - in_page));
    }
    read_piece(piece, bytes.data() + in_page, more);

    // Keep the op for as long as both parts hold the same bytes.
    const auto key = reinterpret_cast<uintptr_t>(host);
    if (Block* block = blocks_->find(key, mode)) {
        if (block->crosses_page && block->byte_count <= in_page + more &&
            block->matches(bytes.data())) {
            return previous_ = block;
        }
        blocks_->remove(block);
    }
    std::array<Op, 2> ops;
    unsigned byte_count = 0;
    if (decode_ops(std::span(bytes).first(in_page + more), 1, ops, byte_count) == 0) {
        fault = Exception::gp();  // cut off by the limit
        return nullptr;
    }
    return previous_ = blocks_->insert(key, mode, ops, std::span(bytes).first(byte_count), true);
}

// Code outside RAM (ROM behind MMIO): fetched anew each time, one instruction at a time.
Block* Core::find_uncached_block(uint64_t linear) {
    std::array<std::byte, kMaxInstructionLength> bytes;
    unsigned size = 0;
    for (; size < bytes.size(); ++size) {
        Piece piece;
        if (!resolve(linear + size, AccessKind::kExecute, access_mode_, piece)) break;
        read_piece(piece, &bytes[size], 1);
    }
    std::array<Op, 2> ops;
    unsigned byte_count = 0;
    if (decode_ops(std::span(bytes).first(size), 1, ops, byte_count) == 0) return nullptr;
    return blocks_->make_transient(mode, ops);
}

}  // namespace mynah::interpreter
