// Accesses that share one check: a run of instructions that reach memory off the same registers,
// which do not change in between (RSP may, by known amounts). The first one checks the whole range
// and leaves the host address in kScratch1, where it stays for the others. If the range is not
// all in one page, or not in the TLB, the run is left to a variant of the block without groups.

#include <algorithm>

#include "engine/translator/instruction_kind.h"
#include "engine/translator/processor.h"
#include "engine/translator/translation.h"

namespace mynah::translator {

namespace {

constexpr int64_t kMostBytes = 512;
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

// By how much an instruction that writes RSP changes it; false if that is not known.
bool stack_change(const GuestInstruction& in, int64_t& change) {
    const auto is_rsp = [](const ZydisDecodedOperand& operand) {
        return operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
               operand.reg.value == ZYDIS_REGISTER_RSP;
    };
    switch (in.mnemonic()) {
        case ZYDIS_MNEMONIC_PUSH: change = -8; return true;
        case ZYDIS_MNEMONIC_POP: change = 8; return !is_rsp(in.operand(0));
        case ZYDIS_MNEMONIC_ADD:
        case ZYDIS_MNEMONIC_SUB:
            if (!is_rsp(in.operand(0)) || in.operand(1).type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
                return false;
            change = in.mnemonic() == ZYDIS_MNEMONIC_ADD ? in.operand(1).imm.value.s
                                                         : -in.operand(1).imm.value.s;
            return true;
        case ZYDIS_MNEMONIC_LEA:
            if (!is_rsp(in.operand(0)) || in.operand(1).mem.base != ZYDIS_REGISTER_RSP ||
                in.operand(1).mem.index != ZYDIS_REGISTER_NONE) {
                return false;
            }
            change = in.operand(1).mem.disp.value;
            return true;
        default: return false;
    }
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
    // The stack's check knows nothing of alignment.
    return access.size > 0 && (access.alignment == 1 || access.base != kRsp);
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

void Translation::plan_groups() {
    groups_.clear();
    for (size_t i = 0; i < count_; ++i) instructions_[i].group = -1;
    for (size_t i = 0; i < count_;) {
        GroupAccess access;
        const size_t next = groupable(instructions_[i], access) ? plan_group(i, access) : i;
        i = std::max(next, i + 1);
    }
}

// Plans the group that starts at instruction `first`; returns the instruction behind it.
size_t Translation::plan_group(size_t first, const GroupAccess& start) {
    AccessGroup group{.base = start.base, .index = start.index, .scale = start.scale};
    group.low = start.disp;
    group.high = start.disp + start.size;
    const bool stack = start.base == kRsp && start.index == kNone;
    group.stack = stack;
    int64_t delta = 0;  // of RSP since the start
    size_t members = 0, last = first;
    const int number = static_cast<int>(groups_.size());
    for (size_t i = first; i < count_; ++i) {
        GuestInstruction& in = instructions_[i];
        GroupAccess access;
        if (groupable(in, access)) {
            if (access.base != group.base || access.index != group.index ||
                access.scale != group.scale) {
                break;
            }
            const int64_t at = access.disp + delta;
            const int64_t low = std::min(group.low, at);
            const int64_t high = std::max(group.high, at + access.size);
            if (high - low > kMostBytes) break;
            if (access.alignment > 1) {
                // Known from the alignment of the first one that needs it.
                if (group.alignment == 1) group.aligned_at = at;
                if ((at - group.aligned_at) % access.alignment != 0) break;
                group.alignment = std::max(group.alignment, access.alignment);
            }
            group.low = low;
            group.high = high;
            group.writes = group.writes || access.writes;
            in.group = static_cast<int16_t>(number);
            in.group_at = static_cast<int32_t>(at);
            ++members;
            last = i;
        } else if (!keeps_group(in)) {
            break;
        }
        const uint8_t index = group.index;
        if (writes_register(in.decoded, group.base)) {
            int64_t change = 0;
            if (!stack || !stack_change(in, change)) break;
            delta += change;
        }
        if (index != kNone && writes_register(in.decoded, index)) break;
        if (branch_kind(in.mnemonic()) == BranchKind::kFinal) break;
    }
    // What is read and written in one go needs the right to write even where it only reads: fine,
    // but for a page that may only be read this would never hit; it then runs ungrouped.
    if (members < 2 || group.low != static_cast<int32_t>(group.low)) {
        for (size_t i = first; i <= last; ++i) instructions_[i].group = -1;
        return first + 1;
    }
    // The check is made for a range that starts at `low`, so that must be what is aligned.
    if (group.alignment > 1) {
        const int64_t skew = (group.aligned_at - group.low) % static_cast<int64_t>(group.alignment);
        if (skew != 0) group.low -= static_cast<int64_t>(group.alignment) - skew;
    }
    group.first = first;
    group.last = last;
    groups_.push_back(group);
    return last + 1;
}

// If the instruction's access is in a group: where it is. Emits the check at the first one.
bool Translation::grouped(const GuestInstruction& in, HostMem& mem) {
    if (in.group < 0) return false;
    const AccessGroup& group = groups_[static_cast<size_t>(in.group)];
    if (group.first == completed(in)) {
        check_group(in, group);
        held_group_ = in.group;
    }
    // Nothing is held if the first one, or one in between, went another way than was planned.
    if (held_group_ != in.group) return false;
    mem = {.base = kScratch1, .disp = in.group_at - static_cast<int32_t>(group.low)};
    return true;
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
        e_.test_imm(kScratch0, static_cast<int32_t>(group.alignment - 1), false);
        const uint32_t other = processor_.new_site(processor_.sites_[site]);
        Cold& misaligned = cold_.emplace_back();
        misaligned.kind = Cold::Kind::kExit;
        misaligned.site = other;
        misaligned.recipe = recipe;
        e_.jcc(Condition::kNz, misaligned.from);
        processor_.sites_[other].patch = e_.offset() - 4;
    }
    e_.load(kScratch1, {.base = kScratch1, .disp = offsetof(SoftTlb::Entry, host)});
    e_.alu(Alu::kAdd, kScratch1, kScratch0);
}

}  // namespace mynah::translator
