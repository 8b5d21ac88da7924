// Blocks shown to people.

#include <array>
#include <cstdio>

#include "engine/translator/dump.h"
#include "engine/translator/processor.h"

namespace mynah::translator {

void Processor::keep_trace(uint32_t id, BlockTrace trace) {
    traces_[id] = std::move(trace);
    if (options_.dump_code == blocks_[id].rip) std::fputs(describe(id).c_str(), stderr);
}

// The instructions of a block, from what its page holds now, which is copied to `bytes`. Valid until
// the next translation.
std::span<const GuestInstruction> Processor::decode_again(uint32_t id,
                                                          std::span<std::byte, kMostBytes> bytes) {
    const Block& block = blocks_[id];
    const size_t size = std::min<size_t>(block.byte_count, bytes.size());
    std::memcpy(bytes.data(),
                reinterpret_cast<const void*>(pages_[block.page].host + block.offset), size);
    Emitter nowhere(nullptr, nullptr, 0);
    Translation again(*this, nowhere, id, block.rip, (block.mode & kUngrouped) != 0);
    again.decode(bytes.first(size));
    return again.instructions().first(
        std::min<size_t>(block.instruction_count, again.instructions().size()));
}

// Only for blocks with a trace.
std::string Processor::describe(uint32_t id) {
    std::array<std::byte, kMostBytes> bytes;
    const auto guest = decode_again(id, bytes);
    return describe_block({.block = blocks_[id],
                           .trace = traces_.at(id),
                           .guest = guest,
                           .sites = sites_,
                           .thunks = thunks_,
                           .offsets = offsets_});
}

}  // namespace mynah::translator
