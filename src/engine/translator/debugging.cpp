// Blocks shown to people.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "engine/translator/dump.h"
#include "engine/translator/processor.h"

namespace mynah::translator {

void Processor::keep_trace(uint32_t id, BlockTrace trace) {
    traces_[id] = std::move(trace);
    if (options_.dump_code == blocks_[id].rip) std::fputs(describe(id).c_str(), stderr);
}

// What translated code takes for granted now.
std::string Processor::mode_text() const {
    constexpr const char* kSizes[] = {"16", "32", "64"};
    std::string text =
        fmt::format("{}-bit code", kSizes[static_cast<unsigned>(core_.mode.code_size)]);
    if (vectors_usable(false)) text += ", SSE";
    if (vectors_usable(true)) text += ", AVX";
    if (x87_usable()) text += ", x87";
    return text;
}

// The instructions of a block, from what its pages hold now, which is copied to `bytes`. Valid until
// the next translation. In the mode that the block is for.
std::span<const GuestInstruction> Processor::decode_again(uint32_t id,
                                                          std::span<std::byte, kMostBytes> bytes) {
    const Block& block = blocks_[id];
    const size_t size = std::min<size_t>(block.byte_count, bytes.size());
    const size_t in_page = std::min<size_t>(size, kPageSize - block.offset);
    std::memcpy(bytes.data(),
                reinterpret_cast<const void*>(pages_[block.page].host + block.offset), in_page);
    Emitter nowhere(nullptr, nullptr, 0);
    Translation again(*this, nowhere, id, block.rip, (block.mode & kUngrouped) != 0,
                      block.brief);
    if (block.second_page == 0) {
        again.decode(bytes.first(in_page), true);
    } else {
        std::memcpy(bytes.data() + in_page,
                    reinterpret_cast<const void*>(pages_[block.second_page].host), size - in_page);
        again.decode_crossing(bytes.first(size), static_cast<unsigned>(in_page));
    }
    return again.instructions().first(
        std::min<size_t>(block.instruction_count, again.instructions().size()));
}

// Only for blocks with a trace.
std::string Processor::describe(uint32_t id) {
    std::array<std::byte, kMostBytes> bytes;
    const auto guest = decode_again(id, bytes);
    return describe_block({.block = blocks_[id],
                           .mode = mode_text(),
                           .trace = traces_.at(id),
                           .guest = guest,
                           .sites = sites_,
                           .thunks = thunks_,
                           .offsets = offsets_});
}

}  // namespace mynah::translator
