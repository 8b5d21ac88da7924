#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cpu/mmu.h"
#include "engine/translator/block.h"
#include "engine/translator/dump.h"
#include "engine/translator/emitter.h"
#include "engine/translator/flag_recipe.h"
#include "engine/translator/frame.h"
#include "engine/translator/reencode.h"
#include "isa/instruction.h"

namespace mynah::translator {

class Processor;
class RegisterChanges;

// One guest instruction of the block being made.
struct GuestInstruction {
    Instruction decoded;
    const std::byte* bytes = nullptr;
    uint64_t rip = 0;
    uint16_t offset = 0;  // from the block's first byte
    uint8_t flags_read = 0, flags_written = 0;  // as LAHF bits, OF as bit 1
    uint16_t written = 0;        // general registers, as a mask
    bool keeps_flags = false;    // if the operands are such
    bool writes(unsigned guest) const { return (written >> guest & 1) != 0; }
    bool always_writes = false;  // all flags are written whatever the operands
    int16_t group = -1;          // of accesses that share a check
    bool keeps_scratch = false;  // kScratch1 survives it
    bool repeats = false;        // a jump to the block's start, which goes on in the copy behind it
    int32_t group_at = 0;        // its access, from what the group's registers add up to at its start

    uint64_t next() const { return rip + decoded.length(); }
    ZydisMnemonic mnemonic() const { return decoded.mnemonic(); }
    const ZydisDecodedOperand& operand(unsigned i) const { return decoded.operands[i]; }
    unsigned width() const { return decoded.info.operand_width; }
};

// An access that may share its check: base + index * scale + disp, as guest register numbers.
struct GroupAccess {
    uint8_t base, index, scale;
    int64_t disp;
    unsigned size, alignment = 1;
    bool writes = false;
};

// Accesses that share a check; see access_groups.cpp.
struct AccessGroup {
    uint8_t base, index, scale;
    bool stack = false, writes = false;
    unsigned alignment = 1;
    int64_t low = 0, high = 0, aligned_at = 0;
    size_t first = 0, last = 0;  // instructions
    size_t members = 0;          // a single one is checked by itself
    uint32_t base_era = 0, index_era = 0;  // of the registers at the first; see RegisterChanges
    int64_t base_moved = 0, index_moved = 0;
    bool branched = false;       // a conditional jump has come since
    bool parked = false;         // the host address is in HostFrame::parked as well
    uint8_t slot = 0;            // there
};

// Makes one block: decodes, analyses and emits.
//
// Between two guest instructions every guest register is in its home, and the arithmetic flags are
// where flags_ says. The translator's own checks clobber the host's flags, so that they are put
// into memory before, which also makes faults precise.
class Translation {
  public:
    // brief: code that has yet to show that it is hot. Its block ends at the first branch and counts
    // how often it is entered by its guard.
    Translation(Processor& processor, Emitter& emitter, uint32_t block_id, uint64_t rip,
                bool ungrouped, bool brief);

    // Decodes up to a page's end; false if the first instruction cannot be translated. A block ends
    // before a loop that has one of its own, unless it is known to be one: `whole`.
    bool decode(std::span<const std::byte> bytes, bool whole = false);
    // Instead: one instruction that reaches into the next page, whose bytes follow.
    bool decode_crossing(std::span<const std::byte> bytes, unsigned in_page);
    // Emits; false if there was no room.
    bool emit(Block& block);

    unsigned byte_count() const { return byte_count_; }
    unsigned instruction_count() const { return static_cast<unsigned>(count_); }
    std::span<const GuestInstruction> instructions() const { return {instructions_, count_}; }
    // To be filled in by emit(). Set before.
    void set_trace(BlockTrace* trace) { trace_ = trace; }
    static constexpr unsigned kMaxInstructions = 96, kMaxDecoded = 40, kMaxBranches = 6;

    // Code that runs rarely, put behind the block.
    struct Cold {
        enum class Kind : uint8_t {
            kAccess,
            kStackAccess,
            kStackRange,
            kExit,
            kLoadVectors,
            kLoadX87,
            kHandler
        };
        Kind kind = Kind::kAccess;
        Label from, back;
        AccessSite access{};
        uint32_t site = 0;
        HostReg result = kScratch0;
        const void* handled = nullptr;
        FlagRecipe recipe{};  // of flags that must be in memory at the exit
    };

  private:
    // --- analysis ---
    bool decode_one(std::span<const std::byte> bytes, GuestInstruction& in);
    bool closes_loop(const GuestInstruction& in) const;
    void unroll();
    void analyse();
    FlagsAt wanted_at_entry(bool& dead) const;

    // --- flags (translation.cpp) ---
    void save_flags();
    void restore_flags();
    void restore_carry();
    void want_flags(const GuestInstruction& in);
    // Before code that destroys the host's: they are in memory then, or there is a recipe.
    void give_up_flags();
    void flags_clobbered() {
        if (flags_ != FlagsAt::kRecipe) flags_ = FlagsAt::kMemory;
    }
    void flags_produced() {
        flags_ = FlagsAt::kHost;
        recipe_ = {};
    }
    void recipe_to_memory(const FlagRecipe& recipe);
    void make_flags(HostReg spare);  // in the host's register, if there is but a recipe
    void keep_recipe(const GuestInstruction& in, HostReg spare, bool checked = false);
    bool spoils_recipe(const GuestInstruction& in) const;
    bool flags_dead_behind(const GuestInstruction& in) const;

    // --- memory (translate_access.cpp) ---
    HostMem guest(unsigned number) const;
    HostMem frame(size_t offset) const {
        return {.base = kFrameReg, .disp = static_cast<int32_t>(offset)};
    }
    HostMem core(int32_t offset) const { return {.base = kFrameReg, .disp = offset}; }
    void effective_address(HostReg to, const GuestInstruction& in, const ZydisDecodedOperand& mem,
                           bool linear);
    // Checks an access and leaves its host address in `result`, a scratch register. Flags are in
    // memory afterwards.
    void access(const GuestInstruction& in, const ZydisDecodedOperand& mem, unsigned size,
                AccessKind kind, HostReg result, unsigned alignment = 1);
    // The same for [RSP + displacement].
    void stack_access(const GuestInstruction& in, int32_t displacement, AccessKind kind,
                      HostReg base, HostReg result, unsigned size = 8);
    // kScratch0: linear address, then its offset in the page; kScratch1: the TLB entry. The flags
    // say "above" (or "not zero" if it has to be aligned and no more) for a miss.
    void look_up(unsigned size, AccessKind kind, unsigned alignment);
    void check_table(const GuestInstruction& in, unsigned size, AccessKind kind, HostReg result,
                     unsigned alignment);
    void check_stack(const GuestInstruction& in, unsigned size, AccessKind kind, HostReg result);
    void address_of(HostReg to, uint8_t base, uint8_t index, uint8_t scale_shift, int32_t disp,
                    bool wide);
    AccessSite access_site(const GuestInstruction& in, unsigned size, AccessKind kind,
                           unsigned alignment = 1) const;

    // --- accesses that share a check (access_groups.cpp) ---
    bool groupable(const GuestInstruction& in, GroupAccess& access) const;
    bool keeps_group(const GuestInstruction& in) const;
    void plan_groups();
    static bool distance(const AccessGroup& group, const RegisterChanges& changes,
                         int64_t& distance);
    static bool join_group(AccessGroup& group, const GroupAccess& access, int64_t at);
    void open_group(GuestInstruction& in, const GroupAccess& access,
                    const RegisterChanges& changes);
    void settle_group(size_t number, unsigned& slots);
    bool grouped(const GuestInstruction& in, HostMem& mem);
    void check_group(const GuestInstruction& in, const AccessGroup& group);
    void check_alignment(HostReg address, const AccessGroup& group, uint32_t site,
                         const FlagRecipe& recipe);

    // --- instructions ---
    bool translate(const GuestInstruction& in);  // false: ends the block
    bool operation(const GuestInstruction& in);  // false: not translated, nothing emitted
    bool hand_over(const GuestInstruction& in);  // to the interpreter's handler; as translate()
    bool generic(const GuestInstruction& in, unsigned alignment = 1);
    bool high_byte(const GuestInstruction& in);
    bool high_byte_and_memory(const GuestInstruction& in);
    void handler(const GuestInstruction& in, bool ends);
    const void* make_handled(const GuestInstruction& in, bool& ends);
    void integer_move_wide(const GuestInstruction& in, HostReg to, HostReg from, unsigned bits);

    bool lea(const GuestInstruction& in);
    bool push(const GuestInstruction& in);
    bool pop(const GuestInstruction& in);
    bool leave(const GuestInstruction& in);
    bool exchange(const GuestInstruction& in);
    bool multiply(const GuestInstruction& in);
    bool divide(const GuestInstruction& in);
    bool compare_exchange(const GuestInstruction& in);
    bool compare_exchange_wide(const GuestInstruction& in);
    bool sign_extend(const GuestInstruction& in);
    bool accumulator_immediate(const GuestInstruction& in);
    bool flags_in_ah(const GuestInstruction& in);
    bool vector(const GuestInstruction& in);
    bool vector_fits(const GuestInstruction& in, unsigned& alignment) const;
    void want_vectors();

    // --- x87 and MMX (translate_x87.cpp) ---
    bool x87(const GuestInstruction& in);
    bool x87_fits(const GuestInstruction& in) const;
    bool x87_control(const GuestInstruction& in);
    void initialise_x87();
    void load_control_word(const GuestInstruction& in, const ZydisDecodedOperand& mem);
    bool mmx_fits(const GuestInstruction& in, unsigned& alignment) const;
    bool mmx(const GuestInstruction& in);
    void want_x87();
    void store_fip();
    void note_x87(const GuestInstruction& in, const ZydisDecodedOperand* mem);

    // --- branches (translate_branch.cpp) ---
    enum class End : uint8_t { kNo, kYes, kRefused };
    End branch(const GuestInstruction& in);
    void conditional(const GuestInstruction& in, Condition condition, uint64_t target);
    void count_down(const GuestInstruction& in);
    void call(const GuestInstruction& in);
    void ret(const GuestInstruction& in);
    void jump_indirect(const GuestInstruction& in, int32_t undo);
    void exit_to(uint64_t target, unsigned completed);
    void exit_interpreted(const GuestInstruction& in);
    bool load_target(const GuestInstruction& in);
    uint32_t direct_site(uint64_t target, unsigned completed);
    bool wants_guard(uint64_t from, uint64_t target) const;

    // --- code of 16 and 32 bits (translate_legacy.cpp, translate_legacy_branch.cpp) ---
    uint64_t linear(uint64_t rip) const;
    uint64_t behind(const GuestInstruction& in) const;
    bool suits_legacy(const GuestInstruction& in) const;
    bool vex_suits_legacy(const GuestInstruction& in) const;
    bool legacy_operation(const GuestInstruction& in);
    void legacy_access(const GuestInstruction& in, const ZydisDecodedOperand& mem, unsigned size,
                       AccessKind kind, HostReg result, unsigned alignment);
    void add_segment(const GuestInstruction& in, x86::Segment segment, unsigned size);
    void legacy_stack_address(const GuestInstruction& in, HostReg base, int32_t displacement,
                              unsigned size);
    void move_stack(HostReg from, int32_t change);
    bool legacy_lea(const GuestInstruction& in);
    bool legacy_push(const GuestInstruction& in);
    bool legacy_pop(const GuestInstruction& in);
    bool legacy_leave(const GuestInstruction& in);
    bool move_at_offset(const GuestInstruction& in);
    void leave_if(const GuestInstruction& in, Condition condition);
    End legacy_branch(const GuestInstruction& in);
    bool legacy_target(const GuestInstruction& in, uint64_t& target) const;
    void legacy_count_down(const GuestInstruction& in, uint64_t target);
    void legacy_load_target(const GuestInstruction& in);
    void check_target(const GuestInstruction& in);
    void legacy_push_return(const GuestInstruction& in);
    void legacy_jump_indirect(const GuestInstruction& in);

    void count_entry();
    void emit_cold();
    void note_step();

    unsigned completed(const GuestInstruction& in) const {
        return static_cast<unsigned>(&in - instructions_);
    }

    Processor& processor_;
    Emitter& e_;
    const uint32_t block_id_;
    const uint64_t rip_;
    const bool legacy_;  // not 64-bit code
    GuestInstruction* instructions_;
    size_t count_ = 0;
    unsigned byte_count_ = 0;
    FlagsAt flags_ = FlagsAt::kHost;
    FlagRecipe recipe_;  // of the flags as they are now
    bool vectors_loaded_ = false;
    bool x87_loaded_ = false;
    const GuestInstruction* x87_last_ = nullptr;  // whose address the guest's FIP does not show yet
    const bool ungrouped_, brief_;
    int held_group_ = -1;  // whose host address is in kScratch1
    uint64_t checked_groups_ = 0;  // whose check lies behind
    std::vector<AccessGroup>& groups_;
    std::vector<Cold>& cold_;
    BlockTrace* trace_ = nullptr;
};

}  // namespace mynah::translator
