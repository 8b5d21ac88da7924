#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "base/bits.h"
#include "base/mutex.h"
#include "cpu/cpu_ports.h"
#include "cpu/cpu_signals.h"
#include "cpu/cpu_state.h"
#include "cpu/cpuid_policy.h"
#include "cpu/exception.h"
#include "cpu/mmu.h"
#include "cpu/vcpu.h"
#include "engine/interpreter/code_mode.h"
#include "engine/interpreter/op.h"
#include "engine/soft_tlb.h"
#include "engine/write_log.h"
#include "isa/decode_cache.h"
#include "isa/instruction.h"

namespace mynah::translator {
class Processor;
}

namespace mynah::interpreter {

class BlockCache;
struct Block;
class HostVectorUnit;

// What the cores of one machine share.
struct Shared {
    GuestMemory& memory;
    const CpuidPolicy& cpuid;
    HostVectorUnit& vectors;
    Mutex& split_lock;  // held for locked accesses that the host cannot do as one
    size_t code_budget = size_t{16} << 20;  // bytes for decoded code, of all processors together
};

// The handler behind a block's last instruction: goes on at its own address.
Outcome end_of_block(Core& core, const Op& op);

// One processor on the interpreter: fetches blocks of decoded ops and calls their handlers.
// Handlers are free functions in one file per instruction category; this class is what they work
// with: registers, memory, faults. Used by one thread.
class Core final : public Vcpu {
  public:
    Core(const Shared& shared, CpuPorts& ports, CpuSignals& signals, VcpuIndex index);
    ~Core() override;

    // Vcpu
    CpuState& state() override { return s; }
    void state_changed() override;
    VcpuExit run(uint64_t instruction_limit) override;
    VcpuStatistics statistics() const override;
    const EventTrail* trail() const override { return &events; }

    // --- for handlers -------------------------------------------------------------------------

    CpuState s;
    const Shared& shared;
    CpuPorts& ports;
    Mmu mmu;
    const VcpuIndex index;
    CodeMode mode;    // of the code being run; kept by refresh_mode()
    Exception fault;  // valid after Outcome::kFault
    VcpuStatistics stats;
    EventTrail events;  // what happened last

    // The address of the instruction `op` of the block being run, and of the one behind it.
    uint64_t rip_of(const Op& op) const {
        return wrap_ip(s.gpr[CpuState::kRipBaseSlot] + op.offset);
    }
    uint64_t rip_after(const Op& op) const {
        return wrap_ip(s.gpr[CpuState::kRipBaseSlot] + op.offset + op.length);
    }
    uint64_t wrap_ip(uint64_t ip) const {
        return mode.code_size == CodeSize::k64 ? ip : ip & 0xffffffff;
    }

    Outcome raise(const Exception& e) {
        fault = e;
        return Outcome::kFault;
    }
    bool raised(const Exception& e) {  // for functions that return false for a fault
        fault = e;
        return false;
    }
    // Completion of an op that ends its block.
    Outcome leave_after(const Op& op) {
        s.rip = rip_after(op);
        return Outcome::kLeave;
    }
    Outcome jump(uint64_t target) {
        s.rip = target;
        return Outcome::kJump;
    }
    // HLT and its kin: complete op, then run() returns `reason`.
    Outcome stop_after(const Op& op, VcpuExit reason) {
        stop_ = true;
        stop_reason_ = reason;
        return leave_after(op);
    }

    // Registers by the numbers in ops.
    template <typename T>
    T reg(unsigned slot) const {
        if constexpr (sizeof(T) == 1) {
            return static_cast<T>(reinterpret_cast<const uint8_t*>(s.gpr.data())[slot]);
        } else {
            return static_cast<T>(s.gpr[slot]);
        }
    }
    // 32-bit writes clear the upper half, 8- and 16-bit writes keep the rest.
    template <typename T>
    void set_reg(unsigned slot, T value) {
        if constexpr (sizeof(T) == 1) {
            reinterpret_cast<uint8_t*>(s.gpr.data())[slot] = static_cast<uint8_t>(value);
        } else if constexpr (sizeof(T) == 2) {
            std::memcpy(&s.gpr[slot], &value, 2);
        } else {
            s.gpr[slot] = static_cast<uint64_t>(value);
        }
    }

    // --- memory -------------------------------------------------------------------------------
    // All of these return false after a fault was recorded; then nothing was stored.

    // The offset of op's memory operand within its segment, wrapped at the address size.
    uint64_t effective_address(const Op& op) const {
        uint64_t ea = s.gpr[op.base] + (s.gpr[op.index] << op.scale_shift) +
                      static_cast<uint64_t>(static_cast<int64_t>(op.disp));
        if (op.address_bits != 64) ea &= low_mask(op.address_bits);
        return ea;
    }
    // Segmentation: offset -> linear, with limit, type and (in 64-bit mode) canonical checks for
    // `size` bytes. #SS for the stack segment, else #GP.
    bool segment_linear(x86::Segment segment, uint64_t offset, unsigned size, AccessKind kind,
                        uint64_t& linear);
    // Both steps for op's memory operand.
    bool operand_linear(const Op& op, unsigned size, AccessKind kind, uint64_t& linear) {
        return segment_linear(op.segment, effective_address(op), size, kind, linear);
    }
    // The same in 64-bit mode with 64-bit addresses, without the canonical check: no translation
    // of a non-canonical address is ever found, so that the access itself faults.
    uint64_t operand_linear64(const Op& op) const {
        return segment_base_[static_cast<unsigned>(op.segment)] + s.gpr[op.base] +
               (s.gpr[op.index] << op.scale_shift) +
               static_cast<uint64_t>(static_cast<int64_t>(op.disp));
    }

    // Loads and stores at linear addresses with the current privileges. T: unsigned integer of 1
    // to 8 bytes.
    template <typename T>
    bool load(uint64_t linear, T& value) {
        const SoftTlb::Entry& entry = slot(linear);
        const uint64_t offset = linear ^ entry.read_tag;
        if (offset <= kPageSize - sizeof(T)) [[likely]] {
            value = load_unaligned<T>(reinterpret_cast<const void*>(entry.host + offset));
            return true;
        }
        return load_slow(linear, &value, sizeof(T));
    }
    template <typename T>
    bool store(uint64_t linear, T value) {
        const SoftTlb::Entry& entry = slot(linear);
        const uint64_t offset = linear ^ entry.write_tag;
        if (offset <= kPageSize - sizeof(T)) [[likely]] {
            store_unaligned(reinterpret_cast<void*>(entry.host + offset), value);
            return true;
        }
        return store_slow(linear, &value, sizeof(T));
    }
    // Any number of bytes up to a page; all or nothing.
    bool load_bytes(uint64_t linear, void* to, unsigned size) {
        const SoftTlb::Entry& entry = slot(linear);
        const uint64_t offset = linear ^ entry.read_tag;
        if (offset <= kPageSize - size) [[likely]] {
            std::memcpy(to, reinterpret_cast<const void*>(entry.host + offset), size);
            return true;
        }
        return load_slow(linear, to, size);
    }
    bool store_bytes(uint64_t linear, const void* from, unsigned size) {
        const SoftTlb::Entry& entry = slot(linear);
        const uint64_t offset = linear ^ entry.write_tag;
        if (offset <= kPageSize - size) [[likely]] {
            std::memcpy(reinterpret_cast<void*>(entry.host + offset), from, size);
            return true;
        }
        return store_slow(linear, from, size);
    }
    // Checks that a store would succeed (faulting now), without storing.
    bool probe_store(uint64_t linear, unsigned size);

    // Host address for a locked, read-modify-write or block access of `size` bytes, or null: then
    // either a fault is recorded (`faulted`), or the operand is not plain RAM of one page.
    void* host_for_modify(uint64_t linear, unsigned size, bool& faulted) {
        const SoftTlb::Entry& entry = slot(linear);
        const uint64_t offset = linear ^ entry.write_tag;
        if (offset <= kPageSize - size) [[likely]] {
            return reinterpret_cast<void*>(entry.host + offset);
        }
        return host_for_modify_slow(linear, size, faulted);
    }
    // The same for reading.
    const void* host_for_read(uint64_t linear, unsigned size, bool& faulted);

    // The processor's own accesses to descriptor tables, TSS and the like (AccessMode::kImplicit).
    template <typename T>
    bool load_implicit(uint64_t linear, T& value) {
        return access_as(AccessMode::kImplicit, linear, &value, sizeof(T), AccessKind::kRead);
    }
    template <typename T>
    bool store_implicit(uint64_t linear, T value) {
        return access_as(AccessMode::kImplicit, linear, &value, sizeof(T), AccessKind::kWrite);
    }
    // With an explicit privilege, for pushes to a more or less privileged stack. `data` is read
    // for kWrite and written otherwise.
    bool access_as(AccessMode access_mode, uint64_t linear, void* data, unsigned size,
                   AccessKind kind);
    // Checks for access_as that a write of `size` bytes would succeed.
    bool probe_as(AccessMode access_mode, uint64_t linear, unsigned size);

    // In fault.address of a #GP: the address was not canonical. The run loop makes it #SS if the
    // op's segment is SS.
    static constexpr uint64_t kNonCanonicalMark = 0x6e6f6e63616e6f6e;

    // Four-level paging: bits 63 to 47 are equal. Outside 64-bit mode every address below 4 GiB is.
    static bool canonical(uint64_t linear) { return sign_extend(linear, 48) == linear; }

    // EFLAGS.AC is looked at [SDM 3A 6.15 #AC].
    bool alignment_checked() const { return alignment_check_; }
    // For as long as it lives, it is not: some instructions' accesses may have any alignment.
    class AnyAlignment {
     public:
        explicit AnyAlignment(Core& core) : core_(core), before_(core.alignment_check_) {
            core.alignment_check_ = false;
        }
        ~AnyAlignment() { core_.alignment_check_ = before_; }
        AnyAlignment(const AnyAlignment&) = delete;
        AnyAlignment& operator=(const AnyAlignment&) = delete;

     private:
        Core& core_;
        const bool before_;
    };

    // --- control state ------------------------------------------------------------------------

    // Recomputes mode, privileges, the TLB set and the signal mask from `s`.
    void refresh_mode();
    SoftTlb& tlb() { return tlb_; }
    uint64_t linear_rip() const {
        return segment_base_[static_cast<unsigned>(x86::Segment::kCs)] + s.rip;
    }
    // Guest TSC.
    uint64_t read_tsc() const;
    // Something wants this vCPU's attention: long instructions give way (Outcome::kRepeat).
    void take_map_change();
    bool signalled() const { return (signals_.pending() & signal_mask_) != 0; }
    // Traps may be due after every iteration of a repeated string instruction.
    bool single_iterations() const { return attention_; }
    void mask_interrupts() { signal_mask_ &= ~CpuSignals::kInterrupt; }
    // Debug conditions met by the current instruction, as bits of DR6; #DB follows it.
    uint64_t pending_debug = 0;
    // Set by INT n and its kin: no single-step trap behind this instruction.
    bool skip_single_step = false;

  private:
    friend class LockedOperandBase;
    friend class translator::Processor;  // runs the same state, with this class for what is cold

    // Where one piece of an access, within a page, is.
    struct Piece {
        std::byte* host = nullptr;  // null: not RAM
        GuestPhys physical{0};
    };

    SoftTlb::Entry& slot(uint64_t linear) const {
        return data_table_->entries[SoftTlb::index(linear)];
    }
    bool load_slow(uint64_t linear, void* to, unsigned size);
    bool store_slow(uint64_t linear, const void* from, unsigned size);
    void* host_for_modify_slow(uint64_t linear, unsigned size, bool& faulted);

    // Which translations an access looks among.
    SoftTlb::Set set_of(AccessMode access_mode) const;
    // Translates the page of `linear` and remembers the translation.
    bool resolve(uint64_t linear, AccessKind kind, AccessMode access_mode, Piece& piece);
    bool resolve_range(uint64_t linear, unsigned size, AccessKind kind, AccessMode access_mode,
                       Piece (&pieces)[2], unsigned& first_size);
    bool check_access(uint64_t linear, unsigned size, AccessKind kind);
    void read_piece(const Piece& piece, void* to, unsigned size);
    void write_piece(const Piece& piece, const void* from, unsigned size);
    void note_code_write(uintptr_t host, unsigned size);
    void note_data_page(uintptr_t host);

    // The run loop (run_loop.cpp).
    bool attend(VcpuExit& exit);
    bool execute(Block& block, unsigned most_ops);
    bool raise_pending_fault();
    bool is_code_page(uintptr_t host) const;
    bool deliver_interrupt(uint8_t vector);
    // The code at RIP is entered. `linked`: it goes on elsewhere without a word.
    void note_piece(bool linked) {
        const uint8_t bits = mode.code_size == CodeSize::k64   ? 64
                             : mode.code_size == CodeSize::k32 ? 32
                                                               : 16;
        events.pieces.next() = {linear_rip(), bits, linked};
    }
    Block* find_block();
    Block* find_uncached_block(uint64_t linear);
    bool step();
    bool finish(Outcome outcome, const Op& op);

    // Decoding (decode_block.cpp).
    Block* decode_block(uint64_t linear, const std::byte* host);
    unsigned decode_ops(std::span<const std::byte> bytes, unsigned max_ops, std::span<Op> ops,
                        unsigned& byte_count);
    Block* decode_crossing(uint64_t linear, const std::byte* host, unsigned in_page);

    SoftTlb tlb_;
    WriteLog* write_log_ = nullptr;  // who wants to see the stores, if anybody does
    SoftTlb::Table* data_table_;  // empty_table_ while every access must take the slow path
    SoftTlb::Table* code_table_;
    std::unique_ptr<SoftTlb::Table> empty_table_;
    AccessMode access_mode_ = AccessMode::kSupervisor;
    bool alignment_check_ = false;
    bool data_breakpoints_ = false;
    std::array<uint64_t, x86::kSegmentCount> segment_base_{};  // 0 where 64-bit mode ignores it
    CpuSignals& signals_;
    uint32_t signal_mask_ = 0;
    bool attention_ = false;  // run one instruction at a time, and look before and after it
    bool stop_ = false;
    VcpuExit stop_reason_ = VcpuExit::kKicked;
    const Block* running_ = nullptr;
    bool running_discarded_ = false;
    uintptr_t written_page_ = 0;  // of stores to code pages, and how often in a row
    unsigned writes_ = 0;
    std::unique_ptr<BlockCache> blocks_;
    DecodeCache decoder_;
    Block* previous_;  // the block that was found last; never null
};

}  // namespace mynah::interpreter
