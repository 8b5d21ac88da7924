#include "engine/translator/processor.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/check.h"
#include "engine/interpreter/block_cache.h"
#include "engine/interpreter/interrupt_delivery.h"
#include "engine/translator/perf_map.h"
#include "engine/translator/segment_base.h"

namespace mynah::translator {

namespace {
constexpr size_t kStackSize = 256u << 10;
}  // namespace

// The lowest page is a guard; then the stack of what emitted code calls, which grows down from the
// frame.
struct Processor::Region {
    HostFrame frame;
    interpreter::Core core;

    Region(const interpreter::Shared& shared, CpuPorts& ports, CpuSignals& signals, VcpuIndex index)
        : core(shared, ports, signals, index) {}

    static constexpr size_t kBefore = kStackSize + 4096;
    static size_t mapped() { return kBefore + sizeof(Region); }
};

std::unique_ptr<Processor> Processor::create(const interpreter::Shared& shared, Crew& crew,
                                             CpuPorts& ports, CpuSignals& signals, VcpuIndex index,
                                             const TranslatorOptions& options,
                                             std::unique_ptr<CodeMemory> code) {
    void* memory = mmap(nullptr, Region::mapped(), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory != MAP_FAILED);
    CHECK(mprotect(memory, 4096, PROT_NONE) == 0);
    auto* region = new (static_cast<std::byte*>(memory) + Region::kBefore)
        Region(shared, ports, signals, index);
    return std::unique_ptr<Processor>(new Processor(region, crew, options, std::move(code)));
}

Processor::Processor(Region* region, Crew& crew, const TranslatorOptions& options,
                     std::unique_ptr<CodeMemory> code)
    : region_(region),
      frame_(region->frame),
      core_(region->core),
      crew_(crew),
      options_(options),
      code_(std::move(code)),
      offsets_(measure()),
      heat_(size_t{1} << kHeatBits),
      workspace_(new GuestInstruction[Translation::kMaxInstructions]),
      closed_(new SoftTlb::Table) {
    Emitter emitter(code_->write_at(0), code_->execute_at(0), 16u << 10);
    thunks_ = emit_thunks(emitter, offsets_,
                          {.self = this,
                           .slow_access = reinterpret_cast<const void*>(&Processor::slow_access),
                           .run_handler = reinterpret_cast<const void*>(&Processor::run_handler)});
    CHECK(!emitter.full());
    thunks_end_ = (emitter.offset() + 63) & ~size_t{63};
    if (options_.perf_map) perf_map_ = PerfMap::open();
    if (options_.lockstep) {
        write_log_ = std::make_unique<WriteLog>();
        core_.write_log_ = write_log_.get();
    }
    cold_.reserve(256);
    blocks_.reserve(1u << 17);
    flush_code();
    frame_.gate.store(reinterpret_cast<uintptr_t>(closed_.get()));
    core_.signals_.set_gate(frame_.gate, reinterpret_cast<uintptr_t>(closed_.get()));
    watch_index_ = core_.shared.memory.watch().add(*this);
    MutexLock lock(crew_.mutex);
    crew_.members.push_back(this);
}

Processor::~Processor() {
    core_.signals_.clear_gate();
    {
        MutexLock lock(crew_.mutex);
        std::erase(crew_.members, this);
    }
    flush_code();  // it watches no page any more
    core_.shared.memory.watch().remove(*this);
    region_->~Region();
    munmap(reinterpret_cast<std::byte*>(region_) - Region::kBefore, Region::mapped());
}

Offsets Processor::measure() const {
    const auto from = [this](const void* field) {
        return static_cast<int32_t>(static_cast<const std::byte*>(field) -
                                    reinterpret_cast<const std::byte*>(&frame_));
    };
    return {.gpr = from(&core_.s.gpr),
            .flags = from(&core_.s.flags.arithmetic),
            .system_flags = from(&core_.s.flags.system),
            .data_table = from(&core_.data_table_),
            .segment_base = from(&core_.segment_base_),
            .segments = from(&core_.s.segments),
            .vector = from(&core_.s.vector),
            .mxcsr = from(&core_.s.mxcsr),
            .x87 = from(&core_.s.x87),
            .tsc_offset = from(&core_.s.tsc_offset)};
}

void Processor::state_changed() { core_.state_changed(); }

VcpuStatistics Processor::statistics() const {
    VcpuStatistics statistics = core_.statistics();
    // Blocks that are linked run one another without a word.
    statistics.all_counted = counting_ || entries_ == 0;
    statistics.counters["blocks translated"] = translated_;
    statistics.counters["host bytes translated to"] = emitted_;
    statistics.counters["guest instructions translated"] = guest_translated_;
    statistics.counters["blocks made longer"] = promotions_;
    statistics.counters["links made"] = links_;
    statistics.counters["code cache flushes"] = flushes_ - 1;
    statistics.counters["entries into translated code"] = entries_;
    statistics.counters["instructions left to the interpreter"] = slow_;
    statistics.counters["cold blocks run by the interpreter"] = cold_runs_;
    statistics.counters["exits: guards"] = guards_;
    statistics.counters["exits: indirect jumps"] = indirect_;
    statistics.counters["exits: system instructions"] = handled_exits_;
    auto runs = interpreted_;
    for (const auto& handled : handled_) runs[handled->mnemonic] += handled->runs;
    for (const auto& [mnemonic, count] : runs) {
        statistics.counters[std::string("handled: ") + ZydisMnemonicGetString(mnemonic)] += count;
    }
    return statistics;
}

namespace {
enum ModeBits : uint16_t { kSse = 1u << 8, kAvx = 1u << 9, kX87 = 1u << 10, kMasked = 1u << 11 };
}

// What translated code takes for granted.
TranslationMode Processor::translation_mode() const {
    const CpuState& s = core_.s;
    unsigned mode = core_.mode.key();
    const bool off = (s.cr0 & (x86::cr0::kEm | x86::cr0::kTs)) != 0;
    if (!off && (s.cr4 & x86::cr4::kOsfxsr) != 0) mode |= kSse;
    if (!off && (s.cr4 & x86::cr4::kOsxsave) != 0 && (s.xcr0 & 6) == 6) mode |= kAvx;
    if (!off) mode |= kX87;
    const bool masked = (s.mxcsr & 0x1f80) == 0x1f80 && (s.x87.fcw & 0x3f) == 0x3f &&
                        (s.x87.fsw & 0x80) == 0;
    if (masked) mode |= kMasked;
    TranslationMode result;
    result.bits = static_cast<uint16_t>(mode);
    if (legacy()) result.set_segments(s, core_.mode.protected_mode);
    return result;
}

bool Processor::vectors_usable(bool vex) const {
    const unsigned wanted = vex ? kMasked | kSse | kAvx : kMasked | kSse;
    return (mode_.bits & wanted) == wanted;
}

bool Processor::x87_usable() const {
    constexpr unsigned kWanted = kMasked | kX87;
    return (mode_.bits & kWanted) == kWanted;
}

void Processor::change_mode(const TranslationMode& mode) {
    constexpr size_t kMostModes = 4096;
    pending_link_ = 0;
    if (mode_numbers_.size() >= kMostModes) {
        flush_code();  // blocks know their mode by its number
        mode_numbers_.clear();
        jumps_mode_ = 0;
    }
    mode_ = mode;
    const auto next = static_cast<uint16_t>(mode_numbers_.size() + 1);
    mode_number_ = mode_numbers_.try_emplace(mode, next).first->second;
    // 64-bit code has a table of jumps that is right in one mode; a 32-bit program's system calls
    // leave it alone, because in the table of other code entries name their mode.
    if (legacy() || jumps_mode_ == mode_number_) return;
    jumps_mode_ = mode_number_;
    forget_jumps();
}

// The linear address that the instruction at RIP is fetched from; all ones if it cannot be.
uint64_t Processor::fetch_address() const {
    const CpuState& s = core_.s;
    if (!legacy()) return interpreter::Core::canonical(s.rip) ? s.rip : ~uint64_t{0};
    return s.rip > s.cs().limit ? ~uint64_t{0} : (s.cs().base + s.rip) & 0xffffffff;
}

// Guards look at the table that code is fetched by. False: there was an alarm, and it is closed.
bool Processor::open_gate() {
    const auto table = reinterpret_cast<uintptr_t>(core_.code_table_);
    // A full barrier between the store and the look at the alarm: it must not go unseen.
    if (frame_.gate.load(std::memory_order_relaxed) != table) frame_.gate.exchange(table);
    return !core_.signals_.alarmed();
}

VcpuExit Processor::run(uint64_t instruction_limit) {
    core_.stop_ = false;
    core_.s.halted = false;
    running_.store(true);
    gs_table_ = nullptr;  // the thread's GS may be another's
    struct Outside {
        std::atomic<bool>& running;
        ~Outside() { running.store(false); }
    } outside{running_};
    drain();
    core_.refresh_mode();
    const bool counting = instruction_limit != ~uint64_t{0} || options_.lockstep;
    if (counting && !counting_) flush_code();  // no links: every block is counted
    counting_ = counting;
    const auto progress = [this] { return core_.stats.instructions + core_.stats.exceptions; };
    const uint64_t start = progress();
    const uint64_t end = instruction_limit > ~start ? ~uint64_t{0} : start + instruction_limit;
    while (progress() < end) {
        if (core_.signals_.alarmed()) {
            frame_.gate.exchange(reinterpret_cast<uintptr_t>(core_.code_table_));
            if (core_.signals_.take_alarm()) {
                pending_link_ = 0;
                drain();
                promote();
            }
        }
        if (core_.signalled() && !core_.s.interrupt_shadow) [[unlikely]] {
            pending_link_ = 0;
            VcpuExit exit;
            if (core_.attend(exit)) return exit;
        }
        bool alive = true;
        if (core_.attention_) [[unlikely]] {
            pending_link_ = 0;
            alive = core_.step();
        } else {
            if (const TranslationMode mode = translation_mode(); mode != mode_) change_mode(mode);
            const bool ungrouped = std::exchange(ungrouped_, false);
            uint32_t id = find_code(ungrouped);
            if (id == 0 && ungrouped) {
                const uint32_t link = pending_link_;
                const uint64_t flushes = flushes_;
                id = translate_here(true, false);
                pending_link_ = flushes == flushes_ ? link : 0;
            }
            alive = id != 0 ? run_translated(id) : interpret();
        }
        if (!alive) return VcpuExit::kShutdown;
        if (core_.stop_) {
            core_.s.halted = core_.stop_reason_ == VcpuExit::kHalted;
            return core_.stop_reason_;
        }
    }
    return VcpuExit::kInstructionLimit;
}

// Enters a block and sees to why it came back. False: triple fault.
bool Processor::run_translated(uint32_t id) {
    if (!counting_) {
        if (pending_link_ != 0) link(pending_link_, id);
        if (jumped_) note_jump(blocks_[id]);
    }
    pending_link_ = 0;
    jumped_ = false;
    if (!ready_to_enter()) return true;
    return options_.lockstep ? run_in_lockstep(id) : after_exit(enter_block(id));
}

// Returns the number of the exit site.
uint32_t Processor::enter_block(uint32_t id) {
    ++entries_;
    core_.note_piece(!counting_);
    follow_tables();
    using Enter = uint32_t (*)(HostFrame*, const std::byte*);
    const auto enter = reinterpret_cast<Enter>(reinterpret_cast<uintptr_t>(thunks_.enter));
    return enter(&frame_, blocks_[id].from_memory_flags);
}

// Whether translated code may be entered now; nothing must happen in between.
bool Processor::ready_to_enter() {
    if (!open_gate()) return false;
    follow_tables();
    return true;
}

// Emitted code looks where accesses do now.
void Processor::follow_tables() {
    if (gs_table_ != core_.data_table_) {
        gs_table_ = core_.data_table_;
        set_gs_base(gs_table_);
    }
    // What stack accesses try first holds for one table and as long as nothing is taken from it.
    if (stack_table_ != core_.data_table_ || stack_generation_ != core_.tlb_.generation()) {
        stack_table_ = core_.data_table_;
        stack_generation_ = core_.tlb_.generation();
        frame_.stack_tag = HostFrame::kNoStack;
    }
}

// What follows a handler that did more than complete its instruction. False: triple fault.
bool Processor::finish_handled() {
    core_.stats.instructions += handled_last_->count;
    if (outcome_ == interpreter::Outcome::kNext) {
        core_.s.rip = core_.rip_after(handled_last_->op);
        ++core_.stats.instructions;
        core_.refresh_mode();
        return true;
    }
    if (outcome_ != interpreter::Outcome::kFault) ++core_.stats.instructions;
    return outcome_ == interpreter::Outcome::kJump || core_.finish(outcome_, handled_last_->op);
}

// The same without going back to run(), if nothing else is to be done: where to go on.
const std::byte* Processor::go_on_after_handler() {
    handled_finished_ = false;
    if (counting_ || options_.lockstep || core_.signals_.alarmed()) return nullptr;
    handled_finished_ = true;
    handled_alive_ = finish_handled();
    if (!handled_alive_ || core_.stop_ || core_.attention_ || core_.signalled()) return nullptr;
    // As with the system calls of 32-bit programs.
    if (const TranslationMode mode = translation_mode(); mode != mode_) change_mode(mode);
    const uint32_t id = find_code(false);
    if (id == 0 || !ready_to_enter()) return nullptr;
    core_.note_piece(!counting_);
    return blocks_[id].from_memory_flags;
}

Processor::Rest Processor::leave_block(uint32_t site_id) {
    const ExitSite& site = sites_[site_id];
    core_.stats.instructions += site.count;
    switch (site.kind) {
        case ExitSite::Kind::kNone:
            CHECK(false);
        case ExitSite::Kind::kDirect:
            core_.s.rip = site.target;
            pending_link_ = site_id;
            ungrouped_ = site.ungrouped;
            return Rest::kNothing;
        case ExitSite::Kind::kGuard:
            ++guards_;
            core_.s.rip = site.target;
            return guard_mended(site.block) ? Rest::kNothing : Rest::kInterpretOne;
        case ExitSite::Kind::kIndirect:
            if (!interpreter::Core::canonical(frame_.exit_value)) {
                // The branch itself faults: run it again, from the state before it.
                core_.s.rip = site.target;
                core_.s.gpr[kRsp] += static_cast<uint64_t>(
                    static_cast<int64_t>(static_cast<int32_t>(site.linked)));
                --core_.stats.instructions;
                return Rest::kInterpretOne;
            }
            core_.s.rip = frame_.exit_value;
            jumped_ = true;
            ++indirect_;
            return Rest::kNothing;
        case ExitSite::Kind::kInterpret:
            core_.s.rip = site.target;
            ++interpreted_elsewhere_;
            return Rest::kInterpretOne;
        case ExitSite::Kind::kSlow:
            return Rest::kInterpretOne;
        case ExitSite::Kind::kHandled:
            ++handled_exits_;
            return Rest::kFinishHandled;
    }
    return Rest::kNothing;
}

bool Processor::after_exit(uint32_t site_id) {
    switch (leave_block(site_id)) {
        case Rest::kNothing: return true;
        case Rest::kInterpretOne: return interpret_one();
        case Rest::kFinishHandled: return handled_finished_ ? handled_alive_ : finish_handled();
    }
    return true;
}

// What was not hot enough since the interpreter's code was last thrown away begins anew: the
// translations of all that runs now and then would not find room.
void Processor::cool_down() {
    if (heat_clears_ == core_.blocks_->clears()) return;
    heat_clears_ = core_.blocks_->clears();
    for (Heat& heat : heat_) {
        if (heat.runs < kRewritten) heat.runs = 0;
    }
}

// Gives up the brief blocks that were entered often of late: they are made anew when they are
// wanted next. Alarms, such as the guest's timer, come often enough for that where something is hot.
void Processor::promote() {
    constexpr uint64_t kInterval = 4'000'000;  // cycles: not at each of a burst of alarms
    if (options_.brief_entries == 0) return;
    const uint64_t now = __builtin_ia32_rdtsc();
    if (now - promoted_at_ < kInterval) return;
    promoted_at_ = now;
    // Most blocks were not entered lately: so many counters are looked at in one go.
    constexpr uint32_t kAtOnce = 64;
    static_assert(kMaxBlocks % kAtOnce == 0);
    for (uint32_t first = 0; first < blocks_.size(); first += kAtOnce) {
        uint16_t* const entries = &frame_.entries[first];
        uint16_t most = 0;
        for (uint32_t i = 0; i < kAtOnce; ++i) most = std::max(most, entries[i]);
        if (most == 0) continue;
        if (most >= options_.brief_entries) promote_among(first, kAtOnce);
        std::fill_n(entries, kAtOnce, uint16_t{0});
    }
}

void Processor::promote_among(uint32_t first, uint32_t count) {
    const auto end = std::min<uint32_t>(first + count, static_cast<uint32_t>(blocks_.size()));
    for (uint32_t id = first; id < end; ++id) {
        const Block& block = blocks_[id];
        if (frame_.entries[id] < options_.brief_entries || !block.valid) continue;
        heat(pages_[block.page].host + block.offset) = kHot;
        invalidate(id);
        ++promotions_;
    }
}

// What was really hot before, at this address or another, is translated again without looking at it,
// and so is what took the place of translated code.
bool Processor::translate_known() {
    const uint64_t linear = fetch_address();
    if (linear == ~uint64_t{0}) return false;
    const SoftTlb::Entry& entry = core_.code_table_->entries[SoftTlb::index(linear)];
    if ((entry.execute_tag ^ linear) >= kPageSize) return false;
    const uint8_t known = heat(entry.host + (linear & kPageMask));
    return (known == kHot || known == kRewritten) && translate_here(false, known == kHot) != 0;
}

// Cold blocks, by the interpreter, until there is one that may have been translated; what is hot is
// translated first.
bool Processor::interpret() {
    pending_link_ = 0;
    if (translate_known()) return true;
    interpreter::Block* block = core_.find_block();
    cool_down();
    const unsigned most = counting_ ? 1 : 64;
    for (unsigned i = 0; i < most; ++i) {
        if (block == nullptr) return core_.raise_pending_fault();
        if (block->host != 0 && block->op_count > 0) {
            uint8_t& heat = this->heat(block->host);
            // Of the first it is known that nothing was translated for its address.
            if (heat >= kRewritten && i > 0) return true;
            // Translated for another process' address: it may be run there only.
            if (heat == kTranslated) heat = options_.hot_after / 2;
            if (heat >= options_.hot_after) {
                const bool hot = heat == kHot;
                // Cold code before it may have changed it.
                if (const TranslationMode mode = translation_mode(); mode != mode_)
                    change_mode(mode);
                if (translate_here(false, hot) != 0) {
                    if (!hot) heat = kTranslated;
                    return true;
                }
                heat = 0;  // it cannot be now, or ever
            } else {
                ++heat;
            }
        }
        ++cold_runs_;
        if (!core_.execute(*block, ~0u)) return false;
        if (core_.stop_ || core_.attention_ || core_.signalled() || core_.signals_.alarmed())
            return true;
        block = core_.find_block();
    }
    return true;
}

bool Processor::interpret_one() {
    pending_link_ = 0;
    ++slow_;
    interpreter::Block* block = core_.find_block();
    return block == nullptr ? core_.raise_pending_fault() : core_.execute(*block, 1);
}

uint64_t Processor::slow_access(Processor* self, uint64_t scratch0, uint64_t scratch1,
                                const AccessSite* site) {
    interpreter::Core& core = self->core_;
    const auto* entry = reinterpret_cast<const SoftTlb::Entry*>(
        reinterpret_cast<uintptr_t>(core.data_table_) + scratch1);
    const auto kind = static_cast<AccessKind>(site->kind);
    const auto tag = [&](const SoftTlb::Entry& e) {
        return kind == AccessKind::kWrite ? e.write_tag : e.read_tag;
    };
    const uint64_t linear = scratch0 ^ tag(*entry);
    const bool crosses = (linear & kPageMask) + site->size > kPageSize;
    const bool aligned = (linear & ((uint64_t{1} << site->alignment_shift) - 1)) == 0;
    interpreter::Core::Piece piece{};
    const auto present = [&](uint64_t address) {
        if (!interpreter::Core::canonical(address)) return false;
        return (address ^ tag(core.slot(address))) < kPageSize ||
               (core.resolve(address, kind, core.access_mode_, piece) &&
                (address ^ tag(core.slot(address))) < kPageSize);
    };
    if (!crosses && aligned && (linear ^ tag(*entry)) >= kPageSize) {
        if (present(linear)) return core.slot(linear).host + (linear & kPageMask);
        const auto host = reinterpret_cast<uintptr_t>(piece.host);
        if (host != 0 && kind == AccessKind::kWrite &&
            self->writable_at_once(host, site->size, site->block)) {
            return host;
        }
    }
    if (crosses && aligned && !self->legacy()) {
        const uint64_t second = (linear | kPageMask) + 1;
        // The second may have come at the expense of the first.
        if (present(linear) && present(second) && (linear ^ tag(core.slot(linear))) < kPageSize) {
            if (const uint64_t host = self->across_pages(linear, site->size, kind); host != 0)
                return host;
        }
    }
    core.s.rip = self->blocks_[site->block].rip + site->offset;
    core.stats.instructions += site->count;
    if (site->recipe) core.s.flags.arithmetic = evaluate(site->recipe, core.s.gpr.data());
    if (site->x87 != 0) core.s.x87.fip = self->blocks_[site->block].rip + site->x87 - 1;
    return 0;
}

// Where an operand that lies in two pages can be had in one piece, if so; both are in the TLB.
uint64_t Processor::across_pages(uint64_t linear, unsigned size, AccessKind kind) {
    const uint64_t second = (linear | kPageMask) + 1;
    const uintptr_t host = core_.slot(linear).host + (linear & kPageMask);
    const uintptr_t behind = core_.slot(second).host;
    if (behind == core_.slot(linear).host + kPageSize) return host;
    if (kind != AccessKind::kRead || size > frame_.operand.size()) return 0;
    const size_t first_size = second - linear;
    std::memcpy(frame_.operand.data(), reinterpret_cast<const void*>(host), first_size);
    std::memcpy(frame_.operand.data() + first_size, reinterpret_cast<const void*>(behind),
                size - first_size);
    return reinterpret_cast<uint64_t>(frame_.operand.data());
}

uint64_t Processor::run_handler(Processor* self, Handled* handled) {
    interpreter::Core& core = self->core_;
    if (self->options_.lockstep) {  // the comparison ends before it
        self->handled_last_ = handled;
        return 0;
    }
    ++handled->runs;
    core.s.gpr[CpuState::kRipBaseSlot] = handled->block_rip;
    const interpreter::Outcome outcome = handled->op.handler(core, handled->op);
    if (outcome == interpreter::Outcome::kNext && !core.signals_.alarmed() &&
        self->translation_mode() == self->mode_ && !self->counting_) {
        self->follow_tables();
        return 1;
    }
    self->handled_last_ = handled;
    self->outcome_ = outcome;
    return reinterpret_cast<uint64_t>(self->go_on_after_handler());
}

}  // namespace mynah::translator
