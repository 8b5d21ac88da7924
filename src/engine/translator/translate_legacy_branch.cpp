// Ways out of a block of 16- or 32-bit code. Targets wrap at the operand size and must be within
// the limit of CS; what is not goes to the interpreter, before anything of the instruction is done.

#include "engine/translator/instruction_kind.h"
#include "engine/translator/processor.h"
#include "engine/translator/translation.h"

namespace mynah::translator {

// Of a relative branch. False: beyond the limit.
bool Translation::legacy_target(const GuestInstruction& in, uint64_t& target) const {
    target = in.next() + in.operand(0).imm.value.u;
    target &= in.width() == 16 ? 0xffff : 0xffffffff;
    return target <= processor_.mode_.cs_limit;
}

// LOOP, JCXZ and JECXZ; the counter is as wide as addresses are.
void Translation::legacy_count_down(const GuestInstruction& in, uint64_t target) {
    save_flags();
    const bool loop = in.mnemonic() == ZYDIS_MNEMONIC_LOOP;
    const bool word = in.decoded.info.address_width == 16;
    if (loop && word) {
        e_.lea16(kHostRcx, {.base = kHostRcx, .disp = -1});
    } else if (loop) {
        e_.lea(kHostRcx, {.base = kHostRcx, .disp = -1}, false);
    }
    if (word) e_.byte(0x66);
    e_.test(kHostRcx, kHostRcx, false);
    flags_clobbered();
    const uint32_t site = direct_site(target, completed(in) + 1);
    Cold& cold = cold_.emplace_back();
    cold.kind = Cold::Kind::kExit;
    cold.site = site;
    e_.jcc(loop ? Condition::kNz : Condition::kZ, cold.from);
    processor_.sites_[site].patch = e_.offset() - 4;
}

// The target of JMP or CALL by register or memory, into kScratch0.
void Translation::legacy_load_target(const GuestInstruction& in) {
    const ZydisDecodedOperand& operand = in.operand(0);
    const bool word = operand.size == 16;
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
        access(in, operand, word ? 2 : 4, AccessKind::kRead, kScratch0);
        if (word) {
            e_.load_zero16(kScratch0, {.base = kScratch0});
        } else {
            e_.load(kScratch0, {.base = kScratch0}, false);
        }
        return;
    }
    const HostReg home = kHomeOf[general_register(operand.reg.value)];
    if (word) {
        e_.zero_extend16(kScratch0, home);
    } else {
        e_.mov(kScratch0, home, false);
    }
}

// kScratch0 is where the instruction goes. The flags are in memory.
void Translation::check_target(const GuestInstruction& in) {
    const uint32_t limit = processor_.mode_.cs_limit;
    if (limit >= (in.width() == 16 ? 0xffff : 0xffffffff)) return;
    e_.alu_imm(Alu::kCmp, kScratch0, static_cast<int32_t>(limit), false);
    leave_if(in, Condition::kNbe);
}

void Translation::legacy_push_return(const GuestInstruction& in) {
    const bool word = in.width() == 16;
    const int32_t size = word ? 2 : 4;
    const HostReg rsp = kHomeOf[kRsp];
    stack_access(in, -size, AccessKind::kWrite, rsp, kScratch0, static_cast<unsigned>(size));
    e_.mov_imm(kScratch1, behind(in));
    if (word) {
        e_.store16({.base = kScratch0}, kScratch1);
    } else {
        e_.store({.base = kScratch0}, kScratch1, false);
    }
    move_stack(rsp, -size);
}

// To the address in kScratch0, which was checked.
void Translation::legacy_jump_indirect(const GuestInstruction& in) {
    using Jump = HostFrame::LegacyJump;
    static_assert(sizeof(Jump) == 16);
    e_.imul_imm(kScratch1, kScratch0, static_cast<int32_t>(HostFrame::kJumpFactor), false);
    e_.shift_right(kScratch1, 32 - HostFrame::kLegacyJumpBits, false);
    e_.alu(Alu::kAdd, kScratch1, kScratch1, false);
    const auto jump = [&](size_t field) {
        HostMem mem = frame(offsetof(HostFrame, legacy_jumps) + field);
        mem.index = kScratch1;
        mem.scale_shift = 3;
        return mem;
    };
    Label miss;
    e_.alu(Alu::kCmp, kScratch0, jump(offsetof(Jump, rip)), false);
    e_.jcc(Condition::kNz, miss);
    e_.alu_mem_imm(Alu::kCmp, jump(offsetof(Jump, mode)), processor_.mode_number_, false);
    e_.jcc(Condition::kNz, miss);
    e_.jmp_mem(jump(offsetof(Jump, code)));
    e_.bind(miss);
    e_.call_to(processor_.thunks_.exit_indirect);
    e_.dword(processor_.new_site({.target = in.rip,
                                  .block = block_id_,
                                  .count = static_cast<uint16_t>(completed(in) + 1),
                                  .kind = ExitSite::Kind::kIndirect}));
}

Translation::End Translation::legacy_branch(const GuestInstruction& in) {
    const ZydisMnemonic m = in.mnemonic();
    if (in.decoded.info.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || !suits_legacy(in))
        return End::kRefused;
    store_fip();
    const bool jump_or_call = m == ZYDIS_MNEMONIC_JMP || m == ZYDIS_MNEMONIC_CALL;
    const bool conditional_branch = branch_kind(m) == BranchKind::kConditional;
    if (conditional_branch ||
        (jump_or_call && in.operand(0).type == ZYDIS_OPERAND_TYPE_IMMEDIATE)) {
        uint64_t target;
        if (!legacy_target(in, target)) return End::kRefused;
        if (m == ZYDIS_MNEMONIC_LOOP || m == ZYDIS_MNEMONIC_JCXZ || m == ZYDIS_MNEMONIC_JECXZ) {
            // LOOP faults before it counts, also if it is not taken.
            if (behind(in) > processor_.mode_.cs_limit) return End::kRefused;
            legacy_count_down(in, target);
            return End::kNo;
        }
        if (conditional_branch) {
            conditional(in, static_cast<Condition>(in.decoded.info.opcode & 15), target);
            return End::kNo;
        }
        if (m == ZYDIS_MNEMONIC_CALL) legacy_push_return(in);
        exit_to(target, completed(in) + 1);
        return End::kYes;
    }
    save_flags();
    flags_clobbered();
    if (m == ZYDIS_MNEMONIC_RET) {
        const auto drop = in.decoded.visible_operands() > 0
                              ? static_cast<int32_t>(in.operand(0).imm.value.u & 0xffff)
                              : 0;
        const int32_t size = in.width() == 16 ? 2 : 4;
        stack_access(in, 0, AccessKind::kRead, kHomeOf[kRsp], kScratch0,
                     static_cast<unsigned>(size));
        if (size == 2) {
            e_.load_zero16(kScratch0, {.base = kScratch0});
        } else {
            e_.load(kScratch0, {.base = kScratch0}, false);
        }
        check_target(in);
        move_stack(kHomeOf[kRsp], size + drop);
    } else if (jump_or_call) {
        legacy_load_target(in);
        check_target(in);
        if (m == ZYDIS_MNEMONIC_CALL) {
            e_.store(frame(offsetof(HostFrame, scratch)), kScratch0);
            legacy_push_return(in);
            e_.load(kScratch0, frame(offsetof(HostFrame, scratch)));
        }
    } else {
        return End::kRefused;
    }
    flags_clobbered();
    legacy_jump_indirect(in);
    return End::kYes;
}

}  // namespace mynah::translator
