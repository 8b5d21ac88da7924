// Blocks: finding, making, linking and forgetting them.

#include <algorithm>
#include <array>

#include "base/check.h"
#include "engine/interpreter/block_cache.h"
#include "engine/translator/perf_map.h"
#include "engine/translator/processor.h"

namespace mynah::translator {
namespace {

constexpr size_t kBuckets = 1u << 16;
// What one block may take.
constexpr size_t kMostCode = 24u << 10;

size_t bucket_of(uint64_t rip, uint32_t page) {
    return ((rip * 0x9e3779b97f4a7c15u) >> 40 ^ page) & (kBuckets - 1);
}

}  // namespace

uint32_t Processor::new_site(const ExitSite& site) {
    sites_.push_back(site);
    return static_cast<uint32_t>(sites_.size() - 1);
}

uint32_t Processor::lookup(uint64_t rip, uint32_t page, unsigned mode) const {
    for (uint32_t id = buckets_[bucket_of(rip, page)]; id != 0; id = blocks_[id].next) {
        const Block& block = blocks_[id];
        if (block.rip == rip && block.page == page && block.mode == mode) return id;
    }
    return 0;
}

// The page that `linear` is fetched from now, if it is in the TLB and code was translated from it.
uint32_t Processor::known_code_page(uint64_t linear) {
    const unsigned index = SoftTlb::index(linear);
    SoftTlb::Table& table = *core_.code_table_;
    const SoftTlb::Entry& entry = table.entries[index];
    if ((entry.execute_tag ^ linear) >= kPageSize) {
        interpreter::Core::Piece piece;
        // A fault is left to the interpreter, which meets it again.
        if (!core_.resolve(linear, AccessKind::kExecute, core_.access_mode_, piece)) return 0;
        if ((entry.execute_tag ^ linear) >= kPageSize) return 0;
    }
    // What is not known is noted as well: cold code comes by here at every block.
    constexpr uint32_t kNoCode = ~0u;
    uint32_t& id = table.code_ids[index];
    if (id == 0) {
        const auto found = page_ids_.find({linear & ~kPageMask, entry.host});
        id = found == page_ids_.end() ? kNoCode : found->second;
    }
    return id == kNoCode ? 0 : id;
}

uint32_t Processor::find_code(bool ungrouped) {
    const uint64_t linear = fetch_address();
    if (linear == ~uint64_t{0}) return 0;
    const uint32_t page = known_code_page(linear);
    if (page == 0) return 0;
    return lookup(core_.s.rip, page, ungrouped ? mode_number_ | kUngrouped : mode_number_);
}

// The page, made known if need be. 0: it cannot be fetched from.
uint32_t Processor::code_page(uint64_t linear) {
    if (const uint32_t known = known_code_page(linear); known != 0) return known;
    const unsigned index = SoftTlb::index(linear);
    SoftTlb::Table& table = *core_.code_table_;
    const SoftTlb::Entry& entry = table.entries[index];
    if ((entry.execute_tag ^ linear) >= kPageSize) return 0;
    const auto page = static_cast<uint32_t>(pages_.size());
    CodePage& made = pages_.emplace_back();
    made.linear = linear & ~kPageMask;
    made.host = entry.host;
    made.watched = core_.shared.memory.watch().page_of(reinterpret_cast<const void*>(entry.host));
    page_ids_.emplace(PageKey{made.linear, made.host}, page);
    pages_of_watched_[made.watched].push_back(page);
    table.code_ids[index] = page;
    return page;
}

// The linear address of the page behind a code page.
uint64_t Processor::page_behind(uint32_t page) const {
    const uint64_t linear = pages_[page].linear + kPageSize;
    return legacy() ? linear & 0xffffffff : linear;
}

// A block's guard failed: sees to it that the TLB has what is needed. False: the instruction must
// be run by the interpreter.
bool Processor::guard_mended(uint32_t id) {
    const Block& block = blocks_[id];
    if (block.second_page == 0) return true;  // the first page is looked at anyway
    const uint32_t second = known_code_page(page_behind(block.page));
    if (second == block.second_page) return true;
    if (second != 0) invalidate(id);  // another page is there now
    return second != 0;
}

// Translates the code at RIP, which was just run by the interpreter. 0: not now, or never.
uint32_t Processor::translate_here(bool ungrouped, bool hot) {
    const uint64_t rip = core_.s.rip;
    const uint64_t linear = fetch_address();
    const unsigned mode = ungrouped ? mode_number_ | kUngrouped : mode_number_;
    if (code_->size() - used_ < kMostCode || blocks_.size() == kMaxBlocks) flush_code();
    const uint32_t page = code_page(linear);
    if (page == 0) return 0;
    // It may be there already, if the TLB did not know the page when it was looked for.
    if (const uint32_t id = lookup(rip, page, mode); id != 0) {
        return id;
    }
    watch_page(pages_[page]);
    if (!settled(pages_[page].watched)) return 0;

    // A copy: other processors may be writing here.
    std::array<std::byte, 512> bytes;
    const auto in_page = static_cast<unsigned>(kPageSize - (linear & kPageMask));
    // Nothing behind the segment's limit is fetched.
    const uint64_t in_limit = legacy() ? uint64_t{mode_.cs_limit} - rip + 1 : ~uint64_t{0};
    const size_t size = std::min<uint64_t>({in_page, in_limit, bytes.size()});
    std::memcpy(bytes.data(),
                reinterpret_cast<const void*>(pages_[page].host + (linear & kPageMask)), size);
    const auto id = static_cast<uint32_t>(blocks_.size());
    const size_t sites = sites_.size();
    Emitter emitter(code_->write_at(used_), code_->execute_at(used_), kMostCode);
    const bool brief = !hot && !ungrouped && options_.brief_entries != 0;
    Translation translation(*this, emitter, id, rip, ungrouped, brief);
    BlockTrace trace;
    const bool traced = options_.lockstep || options_.dump_code == rip;
    if (traced) translation.set_trace(&trace);
    uint32_t second = 0;
    if (!translation.decode(std::span(bytes).first(size))) {
        // Nothing, or an instruction that is cut off by the page's end.
        if (in_page >= kMaxInstructionLength || in_limit <= in_page) return 0;
        Instruction cut;
        if (decode(std::span(bytes).first(size), core_.mode.code_size, cut) !=
            DecodeStatus::kTruncated) {
            return 0;
        }
        second = code_page(page_behind(page));
        if (second == 0) return 0;
        watch_page(pages_[second]);
        if (!settled(pages_[second].watched)) return 0;
        std::memcpy(bytes.data() + in_page, reinterpret_cast<const void*>(pages_[second].host),
                    kMaxInstructionLength);
        const size_t both = std::min<uint64_t>(in_page + kMaxInstructionLength, in_limit);
        if (!translation.decode_crossing(std::span(bytes).first(both), in_page)) return 0;
    }
    Block block;
    block.second_page = second;
    block.rip = rip;
    block.page = page;
    block.offset = static_cast<uint16_t>(linear & kPageMask);
    block.mode = static_cast<uint16_t>(mode);
    block.valid = true;
    block.brief = brief;
    frame_.entries[id] = 0;
    blocks_.push_back(block);
    if (!translation.emit(blocks_.back())) {
        blocks_.pop_back();
        sites_.resize(sites);
        return 0;
    }
    Block& made = blocks_.back();
    made.byte_count = static_cast<uint16_t>(translation.byte_count());
    made.instruction_count = static_cast<uint16_t>(translation.instruction_count());
    made.end = emitter.here();
    if (perf_map_ != nullptr) perf_map_->add(code_->execute_at(used_), emitter.offset(), rip);
    trace.begin = code_->execute_at(used_);
    // Patches are offsets from this block's start until here.
    for (size_t i = sites; i < sites_.size(); ++i) {
        sites_[i].patch += static_cast<uint32_t>(used_);
        sites_[i].stub += static_cast<uint32_t>(used_);
    }
    used_ = (used_ + emitter.offset() + 15) & ~size_t{15};
    uint32_t& bucket = buckets_[bucket_of(rip, page)];
    made.next = bucket;
    bucket = id;
    for (const uint32_t each : {page, second}) {
        if (each == 0) continue;
        pages_[each].blocks.push_back(id);
        const auto [from, to] = part_in(each, made);
        pages_[each].lines |= page_lines(from, to);
    }
    ++translated_;
    emitted_ += emitter.offset();
    guest_translated_ += made.instruction_count;
    if (traced) keep_trace(id, std::move(trace));
    return id;
}

// Lets an exit go straight to the block there.
void Processor::link(uint32_t site_id, uint32_t target_id) {
    ExitSite& site = sites_[site_id];
    Block& target = blocks_[target_id];
    const Block& source = blocks_[site.block];
    if (!source.valid || site.linked != 0 || site.target != target.rip) return;
    const bool variant = (target.mode & kUngrouped) != 0;
    if (((source.mode ^ target.mode) & ~kUngrouped) != 0 || variant != site.ungrouped) return;
    if (!site.guarded && source.page != target.page) return;
    const std::byte* to = target.guarded;
    if (!site.guarded) {
        const bool host = site.flags == FlagsAt::kHost ||
                          (site.flags == FlagsAt::kBoth && target.wants_host_flags);
        to = host ? target.from_host_flags : target.from_memory_flags;
    } else if (site.flags == FlagsAt::kHost) {
        return;
    }
    const std::byte* const next = code_->execute_at(site.patch + 4);
    const auto displacement = static_cast<int32_t>(to - next);
    std::memcpy(code_->write_at(site.patch), &displacement, 4);
    site.linked = target_id;
    site.next_incoming = target.incoming;
    target.incoming = site_id;
    ++links_;
}

void Processor::unlink_incoming(Block& block) {
    uint32_t id = block.incoming;
    block.incoming = 0;
    while (id != 0) {
        ExitSite& site = sites_[id];
        const auto displacement =
            static_cast<int32_t>(site.stub - (site.patch + 4));
        std::memcpy(code_->write_at(site.patch), &displacement, 4);
        site.linked = 0;
        id = std::exchange(site.next_incoming, 0);
    }
}

// An indirect jump came to this block: the next one finds it by itself.
void Processor::note_jump(const Block& block) {
    if (legacy()) {
        legacy_jumped_ = true;
        frame_.legacy_jumps[HostFrame::legacy_jump_index(block.rip)] = {
            .rip = static_cast<uint32_t>(block.rip), .mode = block.mode, .code = block.guarded};
        return;
    }
    const unsigned index = HostFrame::jump_index(block.rip);
    frame_.jump_rips[index] = block.rip;
    frame_.jump_code[index] = block.guarded;
}

void Processor::invalidate(uint32_t id) {
    Block& block = blocks_[id];
    if (!block.valid) return;
    block.valid = false;
    uint32_t* link = &buckets_[bucket_of(block.rip, block.page)];
    while (*link != id) link = &blocks_[*link].next;
    *link = block.next;
    unlink_incoming(block);
    const unsigned index = HostFrame::jump_index(block.rip);
    if (frame_.jump_code[index] == block.guarded) {
        frame_.jump_rips[index] = HostFrame::no_jump(index);
        frame_.jump_code[index] = nullptr;
    }
    HostFrame::LegacyJump& jump = frame_.legacy_jumps[HostFrame::legacy_jump_index(block.rip)];
    if (legacy_jumped_ && jump.code == block.guarded) jump = {};
    std::erase(pages_[block.page].blocks, id);
    if (block.second_page != 0) std::erase(pages_[block.second_page].blocks, id);
}

// What of a page a block was made of: [from, to).
std::pair<unsigned, unsigned> Processor::part_in(uint32_t page, const Block& block) const {
    if (block.page != page) return {0, block.offset + block.byte_count - unsigned{kPageSize}};
    return {block.offset, std::min<unsigned>(block.offset + block.byte_count, kPageSize)};
}

void Processor::invalidate_in(uint32_t id, unsigned begin, unsigned end) {
    CodePage& page = pages_[id];
    if ((page.lines & page_lines(begin, end)) == 0) return;
    page.lines = 0;
    // Backwards: invalidate() takes the block off the list.
    for (size_t i = page.blocks.size(); i-- > 0;) {
        if (i >= page.blocks.size()) continue;
        const uint32_t block = page.blocks[i];
        const auto [from, to] = part_in(id, blocks_[block]);
        if (from < end && to > begin) {
            // A guest that translates puts other code there, which will be run as often.
            uint8_t& runs = heat(page.host + from);
            if (runs == kTranslated) runs = kRewritten;
            invalidate(block);
        } else {
            page.lines |= page_lines(from, to);
        }
    }
}

void Processor::invalidate_range(uint64_t watched_page, unsigned begin, unsigned end) {
    const auto found = pages_of_watched_.find(watched_page);
    if (found == pages_of_watched_.end()) return;
    bool watched = false;
    for (const uint32_t id : found->second) {
        if (!pages_[id].is_watched) continue;
        // A page that is written to again and again is data: give up its code, so that writes
        // need no longer be seen.
        constexpr unsigned kEnough = 64;
        if (++pages_[id].writes >= kEnough) {
            invalidate_in(id, 0, kPageSize);
            pages_[id].is_watched = false;
        } else {
            invalidate_in(id, begin, end);
            watched = true;
        }
    }
    if (!watched) core_.shared.memory.watch().unwatch(watched_page, watch_index_);
}

void Processor::forget_jumps() {
    for (unsigned i = 0; i < HostFrame::kJumps; ++i) frame_.jump_rips[i] = HostFrame::no_jump(i);
}

// Everything is forgotten, and the memory used again.
void Processor::flush_code() {
    for (CodePage& page : pages_) {
        if (page.is_watched) core_.shared.memory.watch().unwatch(page.watched, watch_index_);
    }
    blocks_.clear();
    blocks_.emplace_back();
    sites_.clear();
    sites_.push_back({.kind = ExitSite::Kind::kSlow});
    sites_.push_back({.kind = ExitSite::Kind::kHandled});
    handled_.clear();
    traces_.clear();
    buckets_.assign(kBuckets, 0);
    pages_.clear();
    pages_.emplace_back();
    page_ids_.clear();
    pages_of_watched_.clear();
    unsettled_.clear();
    core_.tlb_.forget_code();
    forget_jumps();
    loop_heads_.fill(0);
    if (std::exchange(legacy_jumped_, false)) frame_.legacy_jumps.fill({});
    // What was hot is not translated again before it has shown that it still is.
    for (Heat& heat : heat_) {
        if (heat.runs >= kRewritten) heat.runs = options_.hot_after / 2;
    }
    pending_link_ = 0;
    used_ = thunks_end_;
    ++flushes_;
}

}  // namespace mynah::translator
