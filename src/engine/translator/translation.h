#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cpu/mmu.h"
#include "engine/translator/block.h"
#include "engine/translator/emitter.h"
#include "engine/translator/frame.h"
#include "engine/translator/reencode.h"
#include "isa/instruction.h"

namespace mynah::translator {

class Processor;

// One guest instruction of the block being made.
struct GuestInstruction {
    Instruction decoded;
    const std::byte* bytes = nullptr;
    uint64_t rip = 0;
    uint16_t offset = 0;  // from the block's first byte
    uint8_t flags_read = 0, flags_written = 0;  // as LAHF bits, OF as bit 1
    bool always_writes = false;  // flags_written are written whatever the operands

    uint64_t next() const { return rip + decoded.length(); }
    ZydisMnemonic mnemonic() const { return decoded.mnemonic(); }
    const ZydisDecodedOperand& operand(unsigned i) const { return decoded.operands[i]; }
    unsigned width() const { return decoded.info.operand_width; }
};

// Makes one block: decodes, analyses and emits. 64-bit code.
//
// Between two guest instructions every guest register is in its home, and the arithmetic flags are
// where flags_ says. The translator's own checks clobber the host's flags, so that they are put
// into memory before, which also makes faults precise.
class Translation {
  public:
    Translation(Processor& processor, Emitter& emitter, uint32_t block_id, uint64_t rip);

    // Decodes up to a page's end; false if the first instruction cannot be translated.
    bool decode(std::span<const std::byte> bytes);
    // Emits; false if there was no room.
    bool emit(Block& block);

    unsigned byte_count() const { return byte_count_; }
    unsigned instruction_count() const { return static_cast<unsigned>(count_); }
    static constexpr unsigned kMaxInstructions = 40, kMaxBranches = 6;

    // Code that runs rarely, put behind the block.
    struct Cold {
        enum class Kind : uint8_t { kAccess, kStackAccess, kExit, kLoadVectors, kLoadX87, kHandler };
        Kind kind = Kind::kAccess;
        Label from, back;
        AccessSite access{};
        uint32_t site = 0;
        HostReg result = kScratch0;
        uint32_t limit = 0;
        const void* handled = nullptr;
        Label retry;
    };

  private:
    // --- analysis ---
    void analyse();
    FlagsAt wanted_at_entry(bool& dead) const;

    // --- flags (translation.cpp) ---
    void save_flags();
    void restore_flags();
    void restore_carry();
    void want_flags(const GuestInstruction& in);
    void flags_clobbered() { flags_ = FlagsAt::kMemory; }
    void flags_produced() { flags_ = FlagsAt::kHost; }

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
    void check_table(const GuestInstruction& in, unsigned size, AccessKind kind, HostReg result,
                     unsigned alignment, const Label& retry);
    void check_stack(const GuestInstruction& in, unsigned size, AccessKind kind, HostReg result,
                     const Label& retry);
    AccessSite access_site(const GuestInstruction& in, unsigned size, AccessKind kind) const;

    // --- instructions ---
    bool translate(const GuestInstruction& in);  // false: ends the block
    bool generic(const GuestInstruction& in, unsigned alignment = 1);
    bool high_byte(const GuestInstruction& in);
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
    void want_vectors();

    // --- x87 and MMX (translate_x87.cpp) ---
    bool x87(const GuestInstruction& in);
    bool x87_control(const GuestInstruction& in, bool& done);
    void load_control_word(const GuestInstruction& in, const ZydisDecodedOperand& mem);
    bool mmx(const GuestInstruction& in);
    void want_x87();
    void store_fip();

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

    void emit_cold();

    unsigned completed(const GuestInstruction& in) const {
        return static_cast<unsigned>(&in - instructions_);
    }

    Processor& processor_;
    Emitter& e_;
    const uint32_t block_id_;
    const uint64_t rip_;
    GuestInstruction* instructions_;
    size_t count_ = 0;
    unsigned byte_count_ = 0;
    bool cut_ = false;  // the block ends for want of room, not by a branch
    FlagsAt flags_ = FlagsAt::kHost;
    bool vectors_loaded_ = false;
    bool x87_loaded_ = false;
    const GuestInstruction* x87_last_ = nullptr;  // whose address the guest's FIP does not show yet
    std::vector<Cold>& cold_;
};

}  // namespace mynah::translator
