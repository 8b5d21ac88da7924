// Guest memory: effective addresses, and the checks in front of every access.

#include <algorithm>
#include <bit>

#include "engine/translator/processor.h"
#include "engine/translator/translation.h"

namespace mynah::translator {
namespace {

constexpr uint8_t kNone = 0xff;

// Number of an address register; kNone for none.
uint8_t address_register(ZydisRegister reg) {
    if (reg == ZYDIS_REGISTER_NONE) return kNone;
    const ZyanI8 id = ZydisRegisterGetId(reg);
    return id < 0 ? kNone : static_cast<uint8_t>(id);
}

bool is_rip(ZydisRegister reg) {
    return reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP;
}

}  // namespace

HostMem Translation::guest(unsigned number) const {
    return core(processor_.offsets_.gpr + 8 * static_cast<int32_t>(number));
}

// base + index * scale + disp; the registers by their numbers, kNone for none.
void Translation::address_of(HostReg to, uint8_t base, uint8_t index, uint8_t scale_shift,
                             int32_t disp, bool wide) {
    HostMem ea{.disp = disp};
    const HostReg other = to == kScratch1 ? kScratch0 : kScratch1;
    // Registers that live in memory come by way of the scratch registers.
    HostReg spare = to == kScratch0 || to == kScratch1 ? to : kScratch0;
    if (base != kNone) {
        ea.base = kHomeOf[base];
        if (ea.base == kNoHostReg) {
            e_.load(spare, guest(base));
            ea.base = spare;
            spare = other;
        }
    }
    if (index != kNone) {
        ea.index = kHomeOf[index];
        if (ea.index == kNoHostReg) {
            e_.load(spare, guest(index));
            ea.index = spare;
        }
        ea.scale_shift = scale_shift;
    }
    if (ea.index == kNoHostReg && disp == 0 && ea.base != kNoHostReg) {
        if (to != ea.base || !wide) e_.mov(to, ea.base, wide);
    } else {
        e_.lea(to, ea, wide);
    }
}

// `linear`: with the segment's base, else the offset alone. Changes no flags without a segment
// base.
void Translation::effective_address(HostReg to, const GuestInstruction& in,
                                    const ZydisDecodedOperand& mem, bool linear) {
    const bool wide = in.decoded.info.address_width == 64;
    const bool narrow = in.decoded.info.address_width == 16;
    const int64_t disp = mem.mem.disp.has_displacement ? mem.mem.disp.value : 0;
    const uint8_t base =
        is_rip(mem.mem.base) ? kNone : address_register(mem.mem.base);
    const uint8_t index = address_register(mem.mem.index);
    if (base == kNone && index == kNone) {
        uint64_t address = static_cast<uint64_t>(disp);
        if (is_rip(mem.mem.base)) address += in.next();
        e_.mov_imm(to, wide ? address : address & (narrow ? 0xffff : 0xffffffff));
    } else {
        address_of(to, base, index,
                   static_cast<uint8_t>(std::countr_zero(std::max(1u, unsigned{mem.mem.scale}))),
                   static_cast<int32_t>(disp), wide);
        if (narrow) e_.zero_extend16(to, to);
    }
    const ZydisRegister segment = mem.mem.segment;
    if (linear && (segment == ZYDIS_REGISTER_FS || segment == ZYDIS_REGISTER_GS)) {
        const auto number = segment == ZYDIS_REGISTER_FS ? x86::Segment::kFs : x86::Segment::kGs;
        e_.alu(Alu::kAdd, to,
               core(processor_.offsets_.segment_base + 8 * static_cast<int32_t>(number)));
    }
}

AccessSite Translation::access_site(const GuestInstruction& in, unsigned size, AccessKind kind,
                                    unsigned alignment) const {
    return {.block = block_id_,
            .offset = in.offset,
            .size = static_cast<uint16_t>(size),
            .kind = static_cast<uint8_t>(static_cast<unsigned>(kind) & 3u),
            .alignment_shift = static_cast<uint8_t>(std::countr_zero(alignment) & 63),
            .count = static_cast<uint8_t>(completed(in)),
            .x87 = static_cast<uint16_t>(x87_last_ != nullptr ? x87_last_->offset + 1 : 0),
            .recipe = flags_ == FlagsAt::kRecipe ? recipe_ : FlagRecipe{}};
}

void Translation::access(const GuestInstruction& in, const ZydisDecodedOperand& mem, unsigned size,
                         AccessKind kind, HostReg result, unsigned alignment) {
    held_group_ = -1;
    give_up_flags();
    if (legacy_) {
        legacy_access(in, mem, size, kind, result, alignment);
        return;
    }
    const bool plain_segment =
        mem.mem.segment != ZYDIS_REGISTER_FS && mem.mem.segment != ZYDIS_REGISTER_GS;
    if (mem.mem.base == ZYDIS_REGISTER_RSP && mem.mem.index == ZYDIS_REGISTER_NONE &&
        plain_segment && alignment == 1) {
        const auto disp = mem.mem.disp.has_displacement ? mem.mem.disp.value : 0;
        stack_access(in, static_cast<int32_t>(disp), kind, kHomeOf[kRsp], result, size);
        return;
    }
    effective_address(kScratch0, in, mem, true);
    check_table(in, size, kind, result, alignment);
}

// kScratch0: linear address.
void Translation::check_table(const GuestInstruction& in, unsigned size, AccessKind kind,
                              HostReg result, unsigned alignment) {
    look_up(size, kind, alignment);
    const size_t index = cold_.size();
    Cold& cold = cold_.emplace_back();
    cold.kind = Cold::Kind::kAccess;
    cold.access = access_site(in, size, kind, alignment);
    cold.result = result;
    e_.jcc(alignment > 1 ? Condition::kNz : Condition::kNbe, cold.from);
    const HostMem host{.base = kScratch1, .disp = offsetof(SoftTlb::Entry, host)};
    e_.gs();
    if (result == kScratch0) {
        e_.alu(Alu::kAdd, kScratch0, host);
    } else {
        e_.load(kScratch1, host);
        e_.alu(Alu::kAdd, kScratch1, kScratch0);
    }
    e_.bind(cold_[index].back);
}

void Translation::stack_access(const GuestInstruction& in, int32_t displacement, AccessKind kind,
                               HostReg base, HostReg result, unsigned size) {
    held_group_ = -1;
    give_up_flags();
    if (legacy_) {
        legacy_stack_address(in, base, displacement, size);
    } else {
        e_.lea(kScratch0, {.base = base, .disp = displacement});
    }
    check_stack(in, size, kind, result);
}

void Translation::look_up(unsigned size, AccessKind kind, unsigned alignment) {
    e_.rorx(kScratch1, kScratch0, 7);
    e_.alu_imm(Alu::kAnd, kScratch1, (SoftTlb::kSlots - 1) * sizeof(SoftTlb::Entry), false);
    const bool writes = kind == AccessKind::kWrite;
    e_.gs();
    e_.alu(Alu::kXor, kScratch0,
           {.base = kScratch1,
            .disp = writes ? int32_t{offsetof(SoftTlb::Entry, write_tag)}
                           : int32_t{offsetof(SoftTlb::Entry, read_tag)}});
    if (alignment > 1 && size <= alignment) {
        // Within the page and a multiple of the alignment.
        e_.test_imm(kScratch0, ~static_cast<int32_t>(0x1000 - alignment));
    } else {
        e_.alu_imm(Alu::kCmp, kScratch0, static_cast<int32_t>(kPageSize - size));
    }
}

void Translation::check_stack(const GuestInstruction& in, unsigned size, AccessKind kind,
                              HostReg result) {
    e_.alu(Alu::kXor, kScratch0, frame(offsetof(HostFrame, stack_tag)));
    e_.alu_imm(Alu::kCmp, kScratch0, static_cast<int32_t>(kPageSize - size));
    const size_t index = cold_.size();
    Cold& cold = cold_.emplace_back();
    cold.kind = Cold::Kind::kStackAccess;
    cold.access = access_site(in, size, kind);
    cold.result = result;
    e_.jcc(Condition::kNbe, cold.from);
    e_.alu(Alu::kAdd, kScratch0, frame(offsetof(HostFrame, stack_host)));
    if (result != kScratch0) e_.mov(result, kScratch0);
    e_.bind(cold_[index].back);
}

}  // namespace mynah::translator
