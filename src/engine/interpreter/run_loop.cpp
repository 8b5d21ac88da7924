// Fetching blocks, running their ops, and everything that happens between instructions: signals,
// faults, traps.

#include <algorithm>

#include "engine/interpreter/block_cache.h"
#include "engine/interpreter/core.h"
#include "engine/interpreter/debug.h"
#include "engine/interpreter/interrupt_delivery.h"
#include "engine/interpreter/system_management.h"

namespace mynah::interpreter {

using x86::Segment;
namespace rflags = x86::rflags;

void Core::state_changed() {
    tlb_.flush_all();
    refresh_mode();
}

void Core::refresh_mode() {
    const bool code64 = s.code64();
    const SegmentRegister& ss = s.ss();
    mode.code_size = code64 ? CodeSize::k64 : s.cs().default_big() ? CodeSize::k32 : CodeSize::k16;
    mode.stack_size = code64 ? CodeSize::k64 : ss.default_big() ? CodeSize::k32 : CodeSize::k16;
    mode.protected_mode = !s.real_or_v86();
    for (unsigned i = 0; i < x86::kSegmentCount; ++i) {
        const bool ignored = code64 && i != static_cast<unsigned>(Segment::kFs) &&
                             i != static_cast<unsigned>(Segment::kGs);
        segment_base_[i] = ignored ? 0 : s.segments[i].base;
    }

    const bool user = s.cpl() == 3;
    const bool smap_off = (s.cr4 & x86::cr4::kSmap) != 0 && s.flags.has(rflags::kAc);
    access_mode_ = user ? AccessMode::kUser : AccessMode::kSupervisor;
    const SoftTlb::Set set = user       ? SoftTlb::kUser
                             : smap_off ? SoftTlb::kSupervisorSmapOff
                                        : SoftTlb::kSupervisor;
    alignment_check_ = user && s.flags.has(rflags::kAc) && (s.cr0 & x86::cr0::kAm) != 0;
    const bool debug = debug_active(s);
    data_breakpoints_ = debug;
    code_table_ = &tlb_.table(user ? SoftTlb::kUser : SoftTlb::kSupervisor);
    data_table_ = alignment_check_ || debug ? empty_table_.get() : &tlb_.table(set);

    signal_mask_ = CpuSignals::kKick | CpuSignals::kMemoryMap;
    // Management mode is not interrupted by another SMI, nor by INIT [AMD APM2 10.3.3].
    if (!s.management_mode) signal_mask_ |= CpuSignals::kInit | CpuSignals::kSmi;
    if (!s.nmi_blocked) signal_mask_ |= CpuSignals::kNmi;
    if (s.flags.has(rflags::kIf)) signal_mask_ |= CpuSignals::kInterrupt;
    attention_ = debug || s.interrupt_shadow || s.flags.has(rflags::kTf | rflags::kRf);
}

VcpuExit Core::run(uint64_t instruction_limit) {
    stop_ = false;
    s.halted = false;
    refresh_mode();
    // Exceptions count as well: a guest whose handler faults at once retires nothing.
    const auto progress = [this] { return stats.instructions + stats.exceptions; };
    const uint64_t start = progress();
    const uint64_t end = instruction_limit > ~start ? ~uint64_t{0} : start + instruction_limit;
    while (progress() < end) {
        if (signalled() && !s.interrupt_shadow) [[unlikely]] {
            VcpuExit exit;
            if (attend(exit)) return exit;
        }
        if (attention_) [[unlikely]] {
            if (!step()) return VcpuExit::kShutdown;
        } else {
            Block* block = find_block();
            if (!(block == nullptr ? raise_pending_fault() : execute(*block, ~0u))) {
                return VcpuExit::kShutdown;
            }
        }
        if (stop_) {
            s.halted = stop_reason_ == VcpuExit::kHalted;
            return stop_reason_;
        }
    }
    return VcpuExit::kInstructionLimit;
}

// Runs a block, or its first ops only. False: triple fault.
bool Core::execute(Block& block, unsigned most_ops) {
    s.gpr[CpuState::kRipBaseSlot] = s.rip;
    note_piece(false);
    running_ = &block;
    running_discarded_ = false;
    const Op* op = block.ops;
    const Op* const end = block.ops + std::min<unsigned>(most_ops, block.op_count + 1u);
    Outcome outcome;
    do {
        outcome = op->handler(*this, *op);
        ++op;
    } while (outcome == Outcome::kNext && op != end);
    --op;
    running_ = nullptr;
    stats.instructions += static_cast<uint64_t>(op - block.ops) +
                          (outcome != Outcome::kFault && op->length != 0 ? 1 : 0);
    if (running_discarded_) blocks_->remove(&block);
    if (outcome == Outcome::kNext) {
        s.rip = rip_after(*op);
        return true;
    }
    return outcome == Outcome::kJump || finish(outcome, *op);
}

// The fault that fetching a block recorded. False: triple fault.
bool Core::raise_pending_fault() {
    ++stats.exceptions;
    const bool alive = deliver_exception(*this, fault, EventSource::kException);
    refresh_mode();
    return alive;
}

// What follows an op that did more than jump. False: triple fault.
bool Core::finish(Outcome outcome, const Op& op) {
    bool alive = true;
    switch (outcome) {
        case Outcome::kNext:
        case Outcome::kJump:
            return true;
        case Outcome::kRepeat:
        case Outcome::kLeave:
            break;
        case Outcome::kFault:
            s.rip = rip_of(op);
            if (fault.vector == x86::Vector::kGp && fault.address == kNonCanonicalMark &&
                op.segment == Segment::kSs) {
                fault = Exception::ss();
            }
            ++stats.exceptions;
            alive = deliver_exception(*this, fault, EventSource::kException);
            break;
    }
    refresh_mode();
    return alive;
}

// One instruction with everything that may have to happen around it [SDM 3A 6.9, 3B 17.3.1].
// False: triple fault.
bool Core::step() {
    const uint64_t linear = segment_base_[static_cast<unsigned>(Segment::kCs)] + s.rip;
    if (data_breakpoints_ && !s.flags.has(rflags::kRf) && !s.debug_shadow) {
        if (const uint64_t hits = code_breakpoint_hits(s, linear); hits != 0) {
            ++stats.exceptions;
            const bool alive =
                deliver_exception(*this, Exception::db(hits), EventSource::kException);
            refresh_mode();
            return alive;
        }
    }
    const bool trap = s.flags.has(rflags::kTf);
    const bool interrupt_shadow = s.interrupt_shadow;
    const bool debug_shadow = s.debug_shadow;
    if (!debug_shadow) pending_debug = 0;

    const Block* block = find_block();
    if (block == nullptr) {
        ++stats.exceptions;
        const bool alive = deliver_exception(*this, fault, EventSource::kException);
        refresh_mode();
        return alive;
    }
    s.gpr[CpuState::kRipBaseSlot] = s.rip;
    note_piece(false);
    running_ = block;
    running_discarded_ = false;
    // RF holds for one instruction; those that load it (IRET, task switches) set it again.
    const bool resume = s.flags.has(rflags::kRf);
    s.flags.system &= ~rflags::kRf;
    const Op& op = block->ops[0];
    s.interrupt_shadow = s.debug_shadow = false;
    skip_single_step = false;
    Outcome outcome = op.handler(*this, op);
    running_ = nullptr;
    if (running_discarded_) blocks_->remove(const_cast<Block*>(block));
    if (outcome == Outcome::kNext) {
        s.rip = rip_after(op);
        outcome = Outcome::kLeave;
    }
    if (outcome == Outcome::kFault) {
        s.interrupt_shadow = interrupt_shadow;
        s.debug_shadow = debug_shadow;
        if (resume) s.flags.system |= rflags::kRf;
        pending_debug = 0;
        return finish(outcome, op);
    }
    ++stats.instructions;
    if (outcome == Outcome::kRepeat) {
        s.interrupt_shadow = interrupt_shadow && s.interrupt_shadow;
        if (resume) s.flags.system |= rflags::kRf;
    }
    refresh_mode();
    if (s.debug_shadow) return true;  // MOV SS: traps wait for the next instruction
    uint64_t causes = pending_debug;
    pending_debug = 0;
    if (trap && !skip_single_step) causes |= x86::dr6::kBs;
    if (causes == 0) return true;
    ++stats.exceptions;
    const bool alive = deliver_exception(*this, Exception::db(causes), EventSource::kException);
    refresh_mode();
    return alive;
}

// Serves the most urgent signal [SDM 3A 6.9 table 6-2]. True: run() must return `exit`.
bool Core::attend(VcpuExit& exit) {
    const uint32_t pending = signals_.pending() & signal_mask_;
    if ((pending & CpuSignals::kMemoryMap) != 0) take_map_change();
    if ((pending & CpuSignals::kInit) != 0) {
        signals_.lower(CpuSignals::kInit);
        exit = VcpuExit::kInit;
        return true;
    }
    if ((pending & CpuSignals::kKick) != 0) {
        signals_.lower(CpuSignals::kKick);
        exit = VcpuExit::kKicked;
        return true;
    }
    bool alive = true;
    if ((pending & CpuSignals::kSmi) != 0) {
        signals_.lower(CpuSignals::kSmi);
        enter_management_mode(*this);
    } else if ((pending & CpuSignals::kNmi) != 0) {
        signals_.lower(CpuSignals::kNmi);
        s.nmi_blocked = true;
        alive = deliver_interrupt(static_cast<uint8_t>(x86::Vector::kNmi));
    } else if ((pending & CpuSignals::kInterrupt) != 0) {
        if (const auto vector = ports.acknowledge_interrupt()) {
            ++stats.interrupts;
            alive = deliver_interrupt(*vector);
        }
    }
    refresh_mode();
    exit = VcpuExit::kShutdown;
    return !alive;
}

void Core::take_map_change() {
    // Lowered first: a change that comes while the TLB is emptied is seen next time.
    signals_.lower(CpuSignals::kMemoryMap);
    tlb_.flush_all();
}

// False: triple fault.
bool Core::deliver_interrupt(uint8_t vector) {
    events.events.next() = {.rip = s.rip,
                            .linear = linear_rip(),
                            .piece = events.pieces.count,
                            .vector = vector,
                            .external = true};
    if (deliver_event(*this, vector, EventSource::kExternal, false, 0)) {
        events.events.newest().delivered = true;
        return true;
    }
    return deliver_exception(*this, fault, EventSource::kException);
}

}  // namespace mynah::interpreter
