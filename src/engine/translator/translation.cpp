#include "engine/translator/translation.h"

#include <algorithm>

#include "engine/translator/instruction_kind.h"
#include "engine/translator/processor.h"

namespace mynah::translator {
namespace {

constexpr uint8_t kAllFlags = 0xd7;  // SF ZF AF PF CF as LAHF has them, OF as bit 1

uint8_t arithmetic(ZydisAccessedFlagsMask flags) {
    const auto low = static_cast<uint8_t>(flags & 0xd5);
    return static_cast<uint8_t>(low | ((flags & ZYDIS_CPUFLAG_OF) != 0 ? 2 : 0));
}

bool in_range(ZydisMnemonic mnemonic, std::initializer_list<ZydisMnemonic> list) {
    for (const ZydisMnemonic each : list) {
        if (each == mnemonic) return true;
    }
    return false;
}

// Shifts whose count may turn out to be 0, and then leave the flags alone.
bool may_leave_flags(const GuestInstruction& in) {
    if (!in_range(in.mnemonic(),
                  {ZYDIS_MNEMONIC_SHL, ZYDIS_MNEMONIC_SHR, ZYDIS_MNEMONIC_SAR, ZYDIS_MNEMONIC_SHLD,
                   ZYDIS_MNEMONIC_SHRD, ZYDIS_MNEMONIC_ROL, ZYDIS_MNEMONIC_ROR, ZYDIS_MNEMONIC_RCL,
                   ZYDIS_MNEMONIC_RCR})) {
        return false;
    }
    const auto& count = in.operand(in.decoded.visible_operands() - 1);
    if (count.type != ZYDIS_OPERAND_TYPE_IMMEDIATE) return true;
    return (count.imm.value.u & (in.width() == 64 ? 63 : 31)) == 0;
}

}  // namespace

Translation::Translation(Processor& processor, Emitter& emitter, uint32_t block_id, uint64_t rip,
                         bool ungrouped, bool brief)
    : processor_(processor),
      e_(emitter),
      block_id_(block_id),
      rip_(rip),
      legacy_(processor.legacy()),
      instructions_(processor.workspace_.get()),
      ungrouped_(ungrouped),
      brief_(brief),
      groups_(processor.groups_),
      cold_(processor.cold_) {
    cold_.clear();
}

bool Translation::decode_one(std::span<const std::byte> bytes, GuestInstruction& in) {
    const Instruction* found = nullptr;
    const CodeSize size = processor_.core_.mode.code_size;
    if (processor_.decoder().decode(bytes, size, found) != DecodeStatus::kOk) return false;
    copy_instruction(in.decoded, *found);
    return true;
}

bool Translation::decode(std::span<const std::byte> bytes, bool whole) {
    unsigned offset = 0, branches = 0;
    const unsigned most_branches = brief_ ? 1 : kMaxBranches;
    while (count_ < kMaxDecoded && offset < bytes.size()) {
        if (!whole && count_ > 0 && processor_.is_loop_head(rip_ + offset)) break;
        GuestInstruction& in = instructions_[count_];
        const auto rest = bytes.subspan(offset);
        if (!decode_one(rest, in)) break;
        in.bytes = rest.data();
        in.rip = rip_ + offset;
        in.offset = static_cast<uint16_t>(offset);
        in.repeats = false;
        offset += in.decoded.length();
        ++count_;
        if (closes_loop(in)) break;
        const BranchKind kind = branch_kind(in.mnemonic());
        if (kind == BranchKind::kConditional && ++branches < most_branches) continue;
        if (kind != BranchKind::kNone) break;
    }
    byte_count_ = offset;
    analyse();
    if (count_ > 0 && closes_loop(instructions_[count_ - 1])) {
        unroll();
        processor_.note_loop_head(rip_);
    }
    if (ungrouped_ || legacy_) {
        for (size_t i = 0; i < count_; ++i) {
            instructions_[i].group = -1;
            instructions_[i].keeps_scratch = false;
        }
    } else {
        plan_groups();
    }
    return count_ > 0;
}

bool Translation::decode_crossing(std::span<const std::byte> bytes, unsigned in_page) {
    GuestInstruction& in = instructions_[0];
    if (!decode_one(bytes, in)) return false;
    if (in.decoded.length() <= in_page) return false;
    in.bytes = bytes.data();
    in.rip = rip_;
    in.offset = 0;
    in.group = -1;
    in.keeps_scratch = in.repeats = false;
    count_ = 1;
    byte_count_ = in.decoded.length();
    analyse();
    return true;
}

// A jump to the block's first instruction, of code that is worth repeating.
bool Translation::closes_loop(const GuestInstruction& in) const {
    if (legacy_ || ungrouped_ || brief_) return false;
    const ZydisMnemonic m = in.mnemonic();
    const BranchKind kind = branch_kind(m);
    if (kind == BranchKind::kNone || m == ZYDIS_MNEMONIC_LOOP || m == ZYDIS_MNEMONIC_JRCXZ ||
        m == ZYDIS_MNEMONIC_JECXZ || (kind == BranchKind::kFinal && m != ZYDIS_MNEMONIC_JMP)) {
        return false;
    }
    return in.operand(0).type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
           in.next() + in.operand(0).imm.value.u == rip_;
}

// Copies of a loop's body, one behind the other: accesses of several turns share a check, and only
// the last copy leads back past the guard.
void Translation::unroll() {
    const size_t body = count_;
    const size_t kMostCopies = body <= 8 ? 8 : 4;
    const size_t copies = std::min(kMostCopies, kMaxInstructions / body);
    for (size_t copy = 1; copy < copies; ++copy) {
        instructions_[count_ - 1].repeats = true;
        std::copy_n(instructions_, body, instructions_ + count_);
        count_ += body;
        instructions_[count_ - 1].repeats = false;
    }
}

void Translation::analyse() {
    for (size_t i = 0; i < count_; ++i) {
        GuestInstruction& in = instructions_[i];
        in.flags_read = in.flags_written = 0;
        if (const ZydisAccessedFlags* flags = in.decoded.info.cpu_flags; flags != nullptr) {
            in.flags_read = arithmetic(flags->tested);
            in.flags_written = arithmetic(flags->modified | flags->set_0 | flags->set_1 |
                                          flags->undefined);
        }
        in.written = registers_written(in.decoded);
        in.keeps_flags = may_leave_flags(in);
        in.always_writes = in.flags_written == kAllFlags && !in.keeps_flags;
    }
}

// What the first instruction that has to do with flags wants of them.
FlagsAt Translation::wanted_at_entry(bool& dead) const {
    dead = false;
    for (size_t i = 0; i < count_; ++i) {
        const GuestInstruction& in = instructions_[i];
        if (touches_memory(in.decoded) || !is_plain(in.decoded)) return FlagsAt::kMemory;
        if (in.flags_read != 0) return FlagsAt::kHost;
        // Goes elsewhere with the flags as they are.
        if (branch_kind(in.mnemonic()) != BranchKind::kNone) return FlagsAt::kMemory;
        if (in.flags_written == 0) continue;
        dead = in.always_writes;
        return FlagsAt::kHost;
    }
    return FlagsAt::kMemory;
}

void Translation::save_flags() {
    make_flags(kScratch0);
    if (flags_ != FlagsAt::kHost) return;
    e_.lahf();
    e_.seto_al();
    e_.store16(core(processor_.offsets_.flags), kScratch0);
    flags_ = FlagsAt::kBoth;
}

void Translation::restore_flags() {
    make_flags(kScratch0);
    if (flags_ != FlagsAt::kMemory) return;
    e_.load_zero16(kScratch0, core(processor_.offsets_.flags));
    e_.add_al(0x7f);
    e_.sahf();
    flags_ = FlagsAt::kBoth;
}

void Translation::give_up_flags() {
    if (flags_ == FlagsAt::kHost && recipe_) {
        flags_ = FlagsAt::kRecipe;
    } else if (flags_ != FlagsAt::kRecipe) {
        save_flags();
        flags_ = FlagsAt::kMemory;
    }
}

void Translation::make_flags(HostReg spare) {
    if (flags_ != FlagsAt::kRecipe) return;
    emit_recipe(e_, recipe_, processor_.offsets_, spare);
    flags_ = FlagsAt::kHost;
}

bool Translation::spoils_recipe(const GuestInstruction& in) const {
    return recipe_ && (in.writes(recipe_.a) ||
                       (recipe_.b != FlagRecipe::kImmediate && in.writes(recipe_.b)));
}

// Whether the flags are overwritten before anybody can see what they were before `in`, of which
// only the part is left that cannot fault. Where `in` may jump to (LOOP), they are seen.
bool Translation::flags_dead_behind(const GuestInstruction& in) const {
    if (in.flags_read != 0 || branch_kind(in.mnemonic()) != BranchKind::kNone) return false;
    if (in.always_writes) return true;
    for (size_t i = completed(in) + 1; i < count_; ++i) {
        const GuestInstruction& next = instructions_[i];
        if (!is_plain(next.decoded) || next.flags_read != 0 ||
            branch_kind(next.mnemonic()) != BranchKind::kNone) {
            return false;
        }
        if (next.always_writes) return true;
    }
    return false;
}

// Before an instruction changes what the recipe needs. `checked`: it cannot fault any more.
void Translation::keep_recipe(const GuestInstruction& in, HostReg spare, bool checked) {
    if (!spoils_recipe(in)) return;
    if (flags_ == FlagsAt::kRecipe) {
        if ((checked || is_plain(in.decoded)) && flags_dead_behind(in)) {
            flags_ = FlagsAt::kMemory;
        } else {
            make_flags(spare);
        }
    }
    recipe_ = {};
}

// Only CF, which is bit 8 there.
void Translation::restore_carry() {
    make_flags(kScratch0);
    if (flags_ == FlagsAt::kMemory) e_.bt_mem(core(processor_.offsets_.flags), 8);
}

void Translation::want_flags(const GuestInstruction& in) {
    constexpr uint8_t kCarry = 1;
    if (in.flags_read == 0 && (in.flags_written == 0 || in.always_writes)) return;
    const uint8_t kept = in.flags_written == 0 ? 0 : kAllFlags & ~in.flags_written;
    const bool certain = !may_leave_flags(in);
    if (certain && ((in.flags_read | kept) & ~kCarry) == 0) {
        restore_carry();
    } else {
        restore_flags();
    }
}

bool Translation::emit(Block& block) {
    bool dead = false;
    const bool crossing = block.second_page != 0;
    const FlagsAt wanted = crossing ? FlagsAt::kMemory : wanted_at_entry(dead);
    const auto check_page = [&](uint64_t address, uint32_t page) {
        e_.load(kScratch1, frame(offsetof(HostFrame, gate)));
        e_.alu_mem_imm(Alu::kCmp,
                       {.base = kScratch1,
                        .disp = static_cast<int32_t>(SoftTlb::kCodeIdsOffset +
                                                     4 * SoftTlb::index(address))},
                       static_cast<int32_t>(page), false);
        Cold& cold = cold_.emplace_back();
        cold.kind = Cold::Kind::kExit;
        cold.site = processor_.new_site(
            {.target = rip_, .block = block_id_, .kind = ExitSite::Kind::kGuard});
        e_.jcc(Condition::kNz, cold.from);
    };
    const auto guard = [&] {
        block.guarded = e_.here();
        check_page(linear(rip_), block.page);
        if (brief_) count_entry();
    };
    if (dead) {
        guard();
        block.from_host_flags = block.from_memory_flags = e_.here();
        flags_ = FlagsAt::kMemory;
    } else if (wanted == FlagsAt::kHost) {
        guard();
        block.wants_host_flags = true;
        block.from_memory_flags = e_.here();
        flags_ = FlagsAt::kMemory;
        restore_flags();
        block.from_host_flags = e_.here();
        flags_ = FlagsAt::kHost;
    } else {
        block.from_host_flags = e_.here();
        flags_ = FlagsAt::kHost;
        Label body;
        save_flags();
        e_.jmp(body);
        guard();
        block.from_memory_flags = e_.here();
        e_.bind(body);
        flags_ = FlagsAt::kMemory;
    }
    // Whichever way it was entered, only the first page is known to be right.
    if (crossing) check_page(linear(rip_ + kPageSize), block.second_page);
    bool ended = false;
    for (size_t i = 0; i < count_ && !ended; ++i) {
        if (e_.full()) return false;
        note_step();
        ended = !translate(instructions_[i]);
        if (ended && i + 1 < count_) {
            // Of a loop's copies the first one has them all.
            byte_count_ = std::max<unsigned>(instructions_[i + 1].offset, instructions_[i].offset + instructions_[i].decoded.length());
            count_ = i + 1;
        }
    }
    note_step();
    if (!ended) exit_to(behind(instructions_[count_ - 1]), static_cast<unsigned>(count_));
    emit_cold();
    return !e_.full();
}

// The flags are in memory here.
void Translation::count_entry() {
    e_.increment16(frame(offsetof(HostFrame, entries) + block_id_ * sizeof(uint16_t)));
}

// Where the next instruction's code begins, for those who want to see it.
void Translation::note_step() {
    if (trace_ == nullptr) return;
    trace_->steps.push_back(
        {.host = e_.offset(), .cold = static_cast<uint32_t>(cold_.size()), .flags = flags_});
}

void Translation::recipe_to_memory(const FlagRecipe& recipe) {
    recipe_ = recipe;
    flags_ = FlagsAt::kRecipe;
    save_flags();
}

// The cold parts, in the order in which they came up.
void Translation::emit_cold() {
    const Thunks& thunks = processor_.thunks_;
    for (size_t i = 0; i < cold_.size(); ++i) {
        if (e_.full()) return;
        Cold& cold = cold_[i];
        if (trace_ != nullptr) {
            const bool accesses = cold.kind == Cold::Kind::kStackAccess ||
                                  cold.kind == Cold::Kind::kAccess ||
                                  cold.kind == Cold::Kind::kStackRange;
            trace_->cold.push_back({.host = e_.offset(), .has_access_site = accesses});
        }
        switch (cold.kind) {
            case Cold::Kind::kStackAccess:
            case Cold::Kind::kAccess: {
                const bool writes = cold.access.kind == static_cast<uint8_t>(AccessKind::kWrite);
                e_.raw(&cold.access, sizeof cold.access);
                e_.bind(cold.from);
                e_.call_to(cold.kind == Cold::Kind::kAccess ? thunks.slow_access
                           : writes                         ? thunks.stack_write
                                                            : thunks.stack_read);
                if (cold.result != kScratch0) e_.mov(cold.result, kScratch0);
                e_.jmp(cold.back);
                break;
            }
            case Cold::Kind::kStackRange: {
                const bool writes = cold.access.kind == static_cast<uint8_t>(AccessKind::kWrite);
                e_.raw(&cold.access, sizeof cold.access);
                e_.bind(cold.from);
                e_.call_to(writes ? thunks.stack_range_write : thunks.stack_range_read);
                e_.mov(kScratch1, kScratch0);
                e_.test(kScratch0, kScratch0);
                e_.jcc(Condition::kNz, cold.back);
                if (cold.recipe) recipe_to_memory(cold.recipe);
                e_.jmp_to(e_.here() + 5);
                processor_.sites_[cold.site].patch = e_.offset() - 4;
                processor_.sites_[cold.site].stub = e_.offset();
                e_.call_to(thunks.exit);
                e_.dword(cold.site);
                break;
            }
            case Cold::Kind::kExit:
                e_.bind(cold.from);
                if (cold.recipe) {
                    recipe_to_memory(cold.recipe);
                    e_.jmp_to(e_.here() + 5);
                    processor_.sites_[cold.site].patch = e_.offset() - 4;
                }
                if (ExitSite& site = processor_.sites_[cold.site];
                    site.kind == ExitSite::Kind::kDirect) {
                    site.stub = e_.offset();
                    flags_ = site.flags;
                    save_flags();
                }
                e_.call_to(thunks.exit);
                e_.dword(cold.site);
                break;
            case Cold::Kind::kLoadVectors:
                e_.bind(cold.from);
                e_.call_to(thunks.load_vectors);
                e_.jmp(cold.back);
                break;
            case Cold::Kind::kLoadX87:
                e_.bind(cold.from);
                e_.call_to(thunks.load_x87);
                e_.jmp(cold.back);
                break;
            case Cold::Kind::kHandler:
                e_.bind(cold.from);
                e_.mov_imm64(kScratch0, reinterpret_cast<uint64_t>(cold.handled));
                e_.call_to(thunks.handler);
                e_.jmp(cold.back);
                break;
        }
    }
}

}  // namespace mynah::translator
