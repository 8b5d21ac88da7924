// Ways out of a block.

#include "engine/translator/instruction_kind.h"
#include "engine/translator/processor.h"
#include "engine/translator/translation.h"

namespace mynah::translator {

// Forward within the page, the mapping is known to be right, and no loop is closed.
bool Translation::wants_guard(uint64_t from, uint64_t target) const {
    from = linear(from);
    target = linear(target);
    return (from >> 12) != (target >> 12) || target <= from;
}

uint32_t Translation::direct_site(uint64_t target, unsigned completed) {
    const uint64_t from = completed == 0 ? rip_ : instructions_[completed - 1].rip;
    return processor_.new_site({.target = target,
                                .block = block_id_,
                                .count = static_cast<uint16_t>(completed),
                                .kind = ExitSite::Kind::kDirect,
                                .flags = flags_,
                                .guarded = wants_guard(from, target)});
}

// The end of the block: to a known address.
void Translation::exit_to(uint64_t target, unsigned completed) {
    store_fip();
    const uint64_t from = completed == 0 ? rip_ : instructions_[completed - 1].rip;
    if (wants_guard(from, target)) save_flags();
    make_flags(kScratch0);
    const uint32_t site = direct_site(target, completed);
    // An exit with the flags in the host's register stores them first.
    Cold& cold = cold_.emplace_back();
    cold.kind = Cold::Kind::kExit;
    cold.site = site;
    e_.jmp(cold.from);
    processor_.sites_[site].patch = e_.offset() - 4;
}

void Translation::exit_interpreted(const GuestInstruction& in) {
    store_fip();
    save_flags();
    const uint32_t site = processor_.new_site({.target = in.rip,
                                               .block = block_id_,
                                               .count = static_cast<uint16_t>(completed(in)),
                                               .kind = ExitSite::Kind::kInterpret});
    Cold& cold = cold_.emplace_back();
    cold.kind = Cold::Kind::kExit;
    cold.site = site;
    e_.jmp(cold.from);
}

void Translation::conditional(const GuestInstruction& in, Condition condition, uint64_t target) {
    if (condition == Condition::kB || condition == Condition::kNb) {
        restore_carry();
    } else {
        restore_flags();
    }
    if (wants_guard(in.rip, target)) save_flags();
    const uint32_t site = direct_site(target, completed(in) + 1);
    Cold& cold = cold_.emplace_back();
    cold.kind = Cold::Kind::kExit;
    cold.site = site;
    e_.jcc(condition, cold.from);
    processor_.sites_[site].patch = e_.offset() - 4;
}

// LOOP and JRCXZ, which look at no flags and change none.
void Translation::count_down(const GuestInstruction& in) {
    save_flags();
    const uint64_t target = in.next() + in.operand(0).imm.value.u;
    const bool loop = in.mnemonic() == ZYDIS_MNEMONIC_LOOP;
    const bool wide = in.decoded.info.address_width == 64;
    if (loop) e_.lea(kHostRcx, {.base = kHostRcx, .disp = -1}, wide);
    e_.test(kHostRcx, kHostRcx, wide);
    flags_clobbered();
    const uint32_t site = direct_site(target, completed(in) + 1);
    Cold& cold = cold_.emplace_back();
    cold.kind = Cold::Kind::kExit;
    cold.site = site;
    e_.jcc(loop ? Condition::kNz : Condition::kZ, cold.from);
    processor_.sites_[site].patch = e_.offset() - 4;
}

void Translation::call(const GuestInstruction& in) {
    HostMem to{.base = kScratch0};
    HostReg spare = kScratch1;
    if (grouped(in, to)) {
        spare = kScratch0;
    } else {
        stack_access(in, -8, AccessKind::kWrite, kHomeOf[kRsp], kScratch0);
    }
    const uint64_t behind = in.next();
    if (static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(behind))) == behind) {
        e_.store_imm32(to, static_cast<int32_t>(behind));
    } else {
        e_.mov_imm(spare, behind);
        e_.store(to, spare);
    }
    e_.lea(kHomeOf[kRsp], {.base = kHomeOf[kRsp], .disp = -8});
}

// The target of JMP or CALL by register or memory, into kScratch0.
bool Translation::load_target(const GuestInstruction& in) {
    const ZydisDecodedOperand& operand = in.operand(0);
    if (operand.size != 64) return false;
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
        const auto number = static_cast<unsigned>(ZydisRegisterGetId(operand.reg.value));
        if (kHomeOf[number] == kNoHostReg) {
            e_.load(kScratch0, guest(number));
        } else {
            e_.mov(kScratch0, kHomeOf[number]);
        }
        return true;
    }
    access(in, operand, 8, AccessKind::kRead, kScratch0);
    e_.load(kScratch0, {.base = kScratch0});
    return true;
}

// To the address in kScratch0. undo: what to add to RSP if that is no address at all and the
// instruction has to be run again, by the interpreter.
void Translation::jump_indirect(const GuestInstruction& in, int32_t undo) {
    e_.zero_extend16(kScratch1, kScratch0);
    const auto entry = [&](size_t table) {
        HostMem mem = frame(table);
        mem.index = kScratch1;
        mem.scale_shift = 3;
        return mem;
    };
    e_.alu(Alu::kCmp, kScratch0, entry(offsetof(HostFrame, jump_rips)));
    Label miss;
    e_.jcc(Condition::kNz, miss);
    e_.jmp_mem(entry(offsetof(HostFrame, jump_code)));
    e_.bind(miss);
    e_.call_to(processor_.thunks_.exit_indirect);
    e_.dword(processor_.new_site({.target = in.rip,
                                  .block = block_id_,
                                  .linked = static_cast<uint32_t>(undo),
                                  .count = static_cast<uint16_t>(completed(in) + 1),
                                  .kind = ExitSite::Kind::kIndirect}));
}

void Translation::ret(const GuestInstruction& in) {
    const auto drop = in.decoded.visible_operands() > 0
                          ? static_cast<int32_t>(in.operand(0).imm.value.u & 0xffff)
                          : 0;
    HostMem from{.base = kScratch0};
    save_flags();
    if (!grouped(in, from)) stack_access(in, 0, AccessKind::kRead, kHomeOf[kRsp], kScratch0);
    flags_clobbered();
    e_.load(kScratch0, from);
    e_.lea(kHomeOf[kRsp], {.base = kHomeOf[kRsp], .disp = 8 + drop});
    jump_indirect(in, -8 - drop);
}

Translation::End Translation::branch(const GuestInstruction& in) {
    const ZydisMnemonic m = in.mnemonic();
    if (in.decoded.info.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) return End::kRefused;
    store_fip();
    switch (m) {
        case ZYDIS_MNEMONIC_LOOP:
        case ZYDIS_MNEMONIC_JRCXZ:
        case ZYDIS_MNEMONIC_JECXZ:
            count_down(in);
            return End::kNo;
        case ZYDIS_MNEMONIC_JMP:
            if (in.operand(0).type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
                if (in.repeats) return End::kNo;
                exit_to(in.next() + in.operand(0).imm.value.u, completed(in) + 1);
                return End::kYes;
            }
            if (in.operand(0).size != 64) return End::kRefused;
            save_flags();
            load_target(in);
            flags_clobbered();
            jump_indirect(in, 0);
            return End::kYes;
        case ZYDIS_MNEMONIC_CALL:
            if (in.operand(0).type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
                call(in);
                exit_to(in.next() + in.operand(0).imm.value.u, completed(in) + 1);
                return End::kYes;
            }
            if (in.operand(0).size != 64) return End::kRefused;
            save_flags();
            load_target(in);
            e_.store(frame(offsetof(HostFrame, scratch)), kScratch0);
            call(in);
            e_.load(kScratch0, frame(offsetof(HostFrame, scratch)));
            flags_clobbered();
            jump_indirect(in, 8);
            return End::kYes;
        case ZYDIS_MNEMONIC_RET:
            if (in.width() != 64) return End::kRefused;
            ret(in);
            return End::kYes;
        default:
            break;
    }
    if (branch_kind(m) != BranchKind::kConditional) return End::kRefused;
    // The condition is the low half of the opcode, in both forms.
    const auto condition = static_cast<Condition>(in.decoded.info.opcode & 15);
    if (in.repeats) {
        conditional(in, static_cast<Condition>(static_cast<unsigned>(condition) ^ 1), in.next());
    } else {
        conditional(in, condition, in.next() + in.operand(0).imm.value.u);
    }
    return End::kNo;
}

}  // namespace mynah::translator
