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

// Only for blocks with a trace. The guest's code is what its page holds now.
std::string Processor::describe(uint32_t id) {
    const Block& block = blocks_[id];
    std::array<std::byte, 1024> bytes;
    const size_t size = std::min<size_t>(block.byte_count, bytes.size());
    std::memcpy(bytes.data(),
                reinterpret_cast<const void*>(pages_[block.page].host + block.offset), size);
    Emitter nowhere(nullptr, nullptr, 0);
    Translation again(*this, nowhere, id, block.rip, (block.mode & kUngrouped) != 0);
    again.decode(std::span(bytes).first(size));
    const size_t count = std::min<size_t>(block.instruction_count, again.instructions().size());
    return describe_block({.block = block,
                           .trace = traces_.at(id),
                           .guest = again.instructions().first(count),
                           .sites = sites_,
                           .thunks = thunks_,
                           .offsets = offsets_});
}

}  // namespace mynah::translator
