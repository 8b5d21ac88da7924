// Accesses that share one check: a run of instructions that reach memory off the same registers,
// which do not change in between (RSP may, by known amounts). The first one checks the whole range
// and leaves the host address in kScratch1, where it stays for the others. If the range is not
// all in one page, or not in the TLB, the run is left to a variant of the block without groups.

#include <algorithm>

#include "engine/translator/instruction_kind.h"
#include "engine/translator/processor.h"
#include "engine/translator/register_changes.h"
#include "engine/translator/translation.h"

namespace mynah::translator {

namespace {

constexpr int64_t kMostBytes = 256, kMostStackBytes = 512;
constexpr size_t kMaxGroups = 48;
constexpr uint8_t kNone = 0xff;

unsigned registers_in_memory(const Instruction& in) {
    unsigned count = 0;
    for (unsigned i = 0; i < in.info.operand_count_visible; ++i) {
        const ZydisDecodedOperand& operand = in.operands[i];
        if (is_general_register(operand) && !is_high_byte(operand.reg.value) &&
            kHomeOf[general_register(operand.reg.value)] == kNoHostReg) {
            ++count;
        }
    }
    return count;
}

// Segment, control and debug registers: such moves are handled.
bool names_system_register(const Instruction& in) {
    for (unsigned i = 0; i < in.info.operand_count_visible; ++i) {
        const ZydisDecodedOperand& operand = in.operands[i];
        if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
        switch (ZydisRegisterGetClass(operand.reg.value)) {
            case ZYDIS_REGCLASS_SEGMENT:
            case ZYDIS_REGCLASS_CONTROL:
            case ZYDIS_REGCLASS_DEBUG: return true;
            default: break;
        }
    }
    return false;
}

bool names_high_byte(const Instruction& in) {
    for (unsigned i = 0; i < in.info.operand_count_visible; ++i) {
        const ZydisDecodedOperand& operand = in.operands[i];
        if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_high_byte(operand.reg.value))
            return true;
    }
    return false;
}

}  // namespace

// The access of an instruction that can be in a group.
bool Translation::groupable(const GuestInstruction& in, GroupAccess& access) const {
    const ZydisMnemonic m = in.mnemonic();
    const ZydisDecodedOperand& first = in.operand(0);
    const bool wide = in.width() == 64;
    access = {.base = kRsp, .index = kNone, .scale = 0, .disp = 0, .size = 8};
    switch (m) {
        case ZYDIS_MNEMONIC_PUSH:
            access.disp = -8;
            access.writes = true;
            return wide && (first.type == ZYDIS_OPERAND_TYPE_IMMEDIATE || is_general_register(first));
        case ZYDIS_MNEMONIC_POP: return wide && is_general_register(first);
        case ZYDIS_MNEMONIC_CALL:
            access.disp = -8;
            access.writes = true;
            return first.type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
                   in.decoded.info.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR;
        case ZYDIS_MNEMONIC_RET:
            return wide && in.decoded.info.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR;
        default: break;
    }
    const ZydisDecodedOperand* mem = nullptr;
    for (unsigned i = 0; i < in.decoded.info.operand_count; ++i) {
        if (in.operand(i).type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
        if (mem != nullptr) return false;
        mem = &in.operand(i);
    }
    if (mem == nullptr || mem->mem.type != ZYDIS_MEMOP_TYPE_MEM ||
        mem->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM ||
        in.decoded.info.address_width != 64 || mem->mem.base == ZYDIS_REGISTER_NONE ||
        mem->mem.base == ZYDIS_REGISTER_RIP || mem->mem.segment == ZYDIS_REGISTER_FS ||
        mem->mem.segment == ZYDIS_REGISTER_GS) {
        return false;
    }
    unsigned alignment = 1;
    if (is_generic_integer(m)) {
        const bool bits = m == ZYDIS_MNEMONIC_BT || m == ZYDIS_MNEMONIC_BTS ||
                          m == ZYDIS_MNEMONIC_BTR || m == ZYDIS_MNEMONIC_BTC;
        if (bits && in.operand(1).type == ZYDIS_OPERAND_TYPE_REGISTER) return false;
        // One-operand multiplications go another way.
        if (m == ZYDIS_MNEMONIC_IMUL && in.decoded.visible_operands() == 1) return false;
    } else if (!vector_fits(in, alignment) && !x87_fits(in) && !mmx_fits(in, alignment)) {
        return false;
    }
    if (registers_in_memory(in.decoded) > 1 || names_high_byte(in.decoded) ||
        names_system_register(in.decoded)) {
        return false;
    }
    access.base = static_cast<uint8_t>(general_register(mem->mem.base));
    access.index = mem->mem.index == ZYDIS_REGISTER_NONE
                       ? kNone
                       : static_cast<uint8_t>(general_register(mem->mem.index));
    access.scale = mem->mem.index == ZYDIS_REGISTER_NONE ? 0 : mem->mem.scale;
    access.disp = mem->mem.disp.has_displacement ? mem->mem.disp.value : 0;
    access.size = mem->size / 8u;
    access.alignment = alignment;
    access.writes = (mem->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    return access.size > 0;
}

// An instruction without memory that leaves kScratch1 alone.
bool Translation::keeps_group(const GuestInstruction& in) const {
    const ZydisMnemonic m = in.mnemonic();
    if (m == ZYDIS_MNEMONIC_NOP) return true;
    if (branch_kind(m) == BranchKind::kConditional) {
        return m != ZYDIS_MNEMONIC_LOOP && m != ZYDIS_MNEMONIC_JRCXZ &&
               m != ZYDIS_MNEMONIC_JECXZ;
    }
    if (touches_memory(in.decoded) || registers_in_memory(in.decoded) > 1 ||
        names_high_byte(in.decoded) || names_system_register(in.decoded)) {
        return false;
    }
    if (m == ZYDIS_MNEMONIC_LEA) {
        const auto& mem = in.operand(1).mem;
        const auto in_memory = [](ZydisRegister reg) {
            return reg != ZYDIS_REGISTER_NONE && reg != ZYDIS_REGISTER_RIP &&
                   kHomeOf[general_register(reg)] == kNoHostReg;
        };
        return in.operand(0).size == 64 && in.decoded.info.address_width == 64 &&
               registers_in_memory(in.decoded) == 0 && !in_memory(mem.base) &&
               !in_memory(mem.index);
    }
    if (m == ZYDIS_MNEMONIC_IMUL && in.decoded.visible_operands() == 1) return false;
    unsigned alignment = 1;
    return is_generic_integer(m) || vector_fits(in, alignment) || x87_fits(in) ||
           mmx_fits(in, alignment);
}

// How far the registers have come since the group's first access; false if that is not known.
bool Translation::distance(const AccessGroup& group, const RegisterChanges& changes,
                           int64_t& distance) {
    if (changes.era(group.base) != group.base_era) return false;
    distance = changes.moved(group.base) - group.base_moved;
    if (group.index == kNone) return true;
    if (changes.era(group.index) != group.index_era) return false;
    distance += (changes.moved(group.index) - group.index_moved) * group.scale;
    return true;
}

// Whether the access, at that place, fits into the group; it is in it then.
bool Translation::join_group(AccessGroup& group, const GroupAccess& access, int64_t at) {
    // A page that may only be read is not asked for more where maybe nothing is written.
    if (access.writes && !group.writes && group.branched) return false;
    const int64_t low = std::min(group.low, at);
    const int64_t high = std::max(group.high, at + access.size);
    if (high - low > (group.stack ? kMostStackBytes : kMostBytes)) return false;
    if (access.alignment > 1) {
        // Known from the alignment of the first one that needs it.
        if (group.alignment == 1) group.aligned_at = at;
        if ((at - group.aligned_at) % access.alignment != 0) return false;
        group.alignment = std::max(group.alignment, access.alignment);
    }
    group.low = low;
    group.high = high;
    group.writes = group.writes || access.writes;
    ++group.members;
    return true;
}

void Translation::open_group(GuestInstruction& in, const GroupAccess& access,
                             const RegisterChanges& changes) {
    in.group = static_cast<int16_t>(groups_.size());
    in.group_at = static_cast<int32_t>(access.disp);
    AccessGroup& made = groups_.emplace_back();
    made = {.base = access.base, .index = access.index, .scale = access.scale};
    made.stack = access.base == kRsp && access.index == kNone;
    made.writes = access.writes;
    made.alignment = access.alignment;
    made.low = made.aligned_at = access.disp;
    made.high = access.disp + access.size;
    made.first = made.last = completed(in);
    made.members = 1;
    made.base_era = changes.era(access.base);
    made.base_moved = changes.moved(access.base);
    if (access.index == kNone) return;
    made.index_era = changes.era(access.index);
    made.index_moved = changes.moved(access.index);
}

void Translation::plan_groups() {
    groups_.clear();
    RegisterChanges changes;
    for (size_t i = 0; i < count_; ++i) {
        GuestInstruction& in = instructions_[i];
        in.group = -1;
        GroupAccess access;
        const bool able = groupable(in, access);
        in.keeps_scratch = able || in.repeats || keeps_group(in);
        // The latest group first: one that was given up for want of room is not looked at again.
        for (size_t g = groups_.size(); able && g-- > 0;) {
            AccessGroup& group = groups_[g];
            int64_t at = 0;
            if (group.base != access.base || group.index != access.index ||
                group.scale != access.scale || !distance(group, changes, at)) {
                continue;
            }
            at += access.disp;
            if (at != static_cast<int32_t>(at) || !join_group(group, access, at)) break;
            in.group = static_cast<int16_t>(g);
            in.group_at = static_cast<int32_t>(at);
            group.last = i;
            break;
        }
        if (able && in.group < 0 && groups_.size() < kMaxGroups) open_group(in, access, changes);
        changes.follow(in);
        if (branch_kind(in.mnemonic()) == BranchKind::kConditional) {
            for (AccessGroup& group : groups_) group.branched = true;
        }
    }
    unsigned slots = 0;
    for (size_t g = 0; g < groups_.size(); ++g) settle_group(g, slots);
}

// What is decided when all members are known.
void Translation::settle_group(size_t number, unsigned& slots) {
    AccessGroup& group = groups_[number];
    if (group.low != static_cast<int32_t>(group.low)) group.members = 1;
    if (group.members < 2) return;
    // The check is made for a range that starts at `low`, so that must be what is aligned.
    if (group.alignment > 1) {
        const auto alignment = static_cast<int64_t>(group.alignment);
        const int64_t skew = ((group.aligned_at - group.low) % alignment + alignment) % alignment;
        if (skew != 0) group.low -= alignment - skew;
    }
    for (size_t i = group.first + 1; i < group.last && !group.parked; ++i) {
        const GuestInstruction& in = instructions_[i];
        if (in.group == static_cast<int16_t>(number)) continue;
        group.parked = !in.keeps_scratch || in.group >= 0;
    }
    if (!group.parked) return;
    if (slots == HostFrame::kParked) {
        group.members = 1;
    } else {
        group.slot = static_cast<uint8_t>(slots++);
    }
}

// If the instruction's access is in a group: where it is. Emits the check at the first one.
bool Translation::grouped(const GuestInstruction& in, HostMem& mem) {
    if (in.group < 0) return false;
    const AccessGroup& group = groups_[static_cast<size_t>(in.group)];
    if (group.members < 2) return false;
    const uint64_t bit = uint64_t{1} << in.group;
    const HostMem parked = frame(offsetof(HostFrame, parked) + 8 * size_t{group.slot});
    if (group.first == completed(in)) {
        check_group(in, group);
        if (group.parked) e_.store(parked, kScratch1);
        checked_groups_ |= bit;
    } else if ((checked_groups_ & bit) == 0) {
        // The first one, or one in between, went another way than was planned.
        return false;
    } else if (held_group_ != in.group) {
        if (!group.parked) return false;
        e_.load(kScratch1, parked);
    }
    held_group_ = in.group;
    mem = {.base = kScratch1, .disp = in.group_at - static_cast<int32_t>(group.low)};
    return true;
}

// Leaves as `site` does if the address, or its offset in the page, is not aligned.
void Translation::check_alignment(HostReg address, const AccessGroup& group, uint32_t site,
                                  const FlagRecipe& recipe) {
    e_.test_imm(address, static_cast<int32_t>(group.alignment - 1), false);
    const uint32_t other = processor_.new_site(processor_.sites_[site]);
    Cold& cold = cold_.emplace_back();
    cold.kind = Cold::Kind::kExit;
    cold.site = other;
    cold.recipe = recipe;
    e_.jcc(Condition::kNz, cold.from);
    processor_.sites_[other].patch = e_.offset() - 4;
}

void Translation::check_group(const GuestInstruction& in, const AccessGroup& group) {
    give_up_flags();
    store_fip();
    const auto size = static_cast<unsigned>(group.high - group.low);
    const auto kind = group.writes ? AccessKind::kWrite : AccessKind::kRead;
    const uint32_t site = processor_.new_site({.target = in.rip,
                                               .block = block_id_,
                                               .count = static_cast<uint16_t>(completed(in)),
                                               .kind = ExitSite::Kind::kDirect,
                                               .flags = FlagsAt::kMemory,
                                               .ungrouped = true});
    const auto low = static_cast<int32_t>(group.low);
    const FlagRecipe recipe = flags_ == FlagsAt::kRecipe ? recipe_ : FlagRecipe{};
    if (group.stack) {
        e_.lea(kScratch0, {.base = kHomeOf[kRsp], .disp = low});
        e_.alu(Alu::kXor, kScratch0, frame(offsetof(HostFrame, stack_tag)));
        e_.alu_imm(Alu::kCmp, kScratch0, static_cast<int32_t>(kPageSize - size));
        const size_t index = cold_.size();
        Cold& cold = cold_.emplace_back();
        cold.kind = Cold::Kind::kStackRange;
        cold.access = access_site(in, size, kind);
        cold.site = site;
        cold.recipe = recipe;
        e_.jcc(Condition::kNbe, cold.from);
        e_.load(kScratch1, frame(offsetof(HostFrame, stack_host)));
        e_.alu(Alu::kAdd, kScratch1, kScratch0);
        e_.bind(cold_[index].back);
        if (group.alignment > 1) check_alignment(kScratch1, group, site, recipe);
        return;
    }
    address_of(kScratch0, group.base, group.index,
               static_cast<uint8_t>(std::countr_zero(std::max(1u, unsigned{group.scale}))), low,
               true);
    look_up(size, kind, group.alignment);
    Cold& cold = cold_.emplace_back();
    cold.kind = Cold::Kind::kExit;
    cold.site = site;
    cold.recipe = recipe;
    e_.jcc(group.alignment > 1 && size <= group.alignment ? Condition::kNz : Condition::kNbe,
           cold.from);
    processor_.sites_[site].patch = e_.offset() - 4;
    if (group.alignment > 1 && size > group.alignment) {
        // The offset in the page is small enough; now its low bits.
        check_alignment(kScratch0, group, site, recipe);
    }
    e_.gs();
    e_.load(kScratch1, {.base = kScratch1, .disp = offsetof(SoftTlb::Entry, host)});
    e_.alu(Alu::kAdd, kScratch1, kScratch0);
}

}  // namespace mynah::translator
