// Integer instructions with operands that the opcode implies, and the choice of a way for each
// instruction.

#include <algorithm>

#include "engine/interpreter/builder.h"
#include "engine/translator/instruction_kind.h"
#include "engine/translator/processor.h"
#include "engine/translator/translation.h"

namespace mynah::translator {

namespace {

constexpr HostReg kRaxHome = kHomeOf[kRax];

bool is_register(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER;
}
bool is_memory(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_MEMORY;
}

}  // namespace

// False: the instruction ended the block.
bool Translation::translate(const GuestInstruction& in) {
    const ZydisMnemonic m = in.mnemonic();
    if (branch_kind(m) != BranchKind::kNone) {
        keep_recipe(in, kScratch0);
        switch (legacy_ ? legacy_branch(in) : branch(in)) {
            case End::kNo: return true;
            case End::kYes: return false;
            case End::kRefused: break;
        }
    }
    const bool done = (legacy_ ? legacy_operation(in) : operation(in)) || hand_over(in);
    if (!in.keeps_scratch) held_group_ = -1;
    return done;
}

// What is no branch. PAUSE is left to the interpreter, which gives the host's processor away.
bool Translation::operation(const GuestInstruction& in) {
    const ZydisMnemonic m = in.mnemonic();
    bool done = false;
    unsigned alignment = 1;
    // generic() does it between the check and the instruction.
    if (spoils_recipe(in) && !is_generic_integer(m) && !vector_fits(in, alignment))
        keep_recipe(in, kScratch0);
    switch (m) {
        case ZYDIS_MNEMONIC_NOP:
        case ZYDIS_MNEMONIC_ENDBR64:
        case ZYDIS_MNEMONIC_ENDBR32:
        case ZYDIS_MNEMONIC_PREFETCH:
        case ZYDIS_MNEMONIC_PREFETCHNTA:
        case ZYDIS_MNEMONIC_PREFETCHT0:
        case ZYDIS_MNEMONIC_PREFETCHT1:
        case ZYDIS_MNEMONIC_PREFETCHT2:
        case ZYDIS_MNEMONIC_PREFETCHW:
            done = true;
            break;
        case ZYDIS_MNEMONIC_LFENCE:
        case ZYDIS_MNEMONIC_MFENCE:
        case ZYDIS_MNEMONIC_SFENCE:
            e_.raw(in.bytes, in.decoded.length());
            done = true;
            break;
        case ZYDIS_MNEMONIC_LEA: done = lea(in); break;
        case ZYDIS_MNEMONIC_PUSH: done = push(in); break;
        case ZYDIS_MNEMONIC_POP: done = pop(in); break;
        case ZYDIS_MNEMONIC_LEAVE: done = leave(in); break;
        case ZYDIS_MNEMONIC_XCHG: done = exchange(in); break;
        case ZYDIS_MNEMONIC_MUL: done = multiply(in); break;
        case ZYDIS_MNEMONIC_IMUL:
            if (in.decoded.visible_operands() == 1) keep_recipe(in, kScratch0);
            done = in.decoded.visible_operands() == 1 ? multiply(in) : generic(in);
            break;
        case ZYDIS_MNEMONIC_DIV:
        case ZYDIS_MNEMONIC_IDIV: done = divide(in); break;
        case ZYDIS_MNEMONIC_CMPXCHG: done = compare_exchange(in); break;
        case ZYDIS_MNEMONIC_CMPXCHG8B:
        case ZYDIS_MNEMONIC_CMPXCHG16B: done = compare_exchange_wide(in); break;
        case ZYDIS_MNEMONIC_CBW:
        case ZYDIS_MNEMONIC_CWDE:
        case ZYDIS_MNEMONIC_CDQE:
        case ZYDIS_MNEMONIC_CWD:
        case ZYDIS_MNEMONIC_CDQ:
        case ZYDIS_MNEMONIC_CQO: done = sign_extend(in); break;
        case ZYDIS_MNEMONIC_LAHF:
        case ZYDIS_MNEMONIC_SAHF: done = flags_in_ah(in); break;
        default:
            if (is_generic_integer(m)) {
                done = generic(in);
                if (!done) keep_recipe(in, kScratch0);
                done = done || accumulator_immediate(in) || high_byte(in) ||
                       high_byte_and_memory(in);
            } else {
                done = vector(in) || x87(in);
            }
            break;
    }
    return done;
}

bool Translation::hand_over(const GuestInstruction& in) {
    bool ends = false;
    const void* handled = make_handled(in, ends);
    if (handled == nullptr) {
        exit_interpreted(in);
        return false;
    }
    save_flags();
    store_fip();
    e_.mov_imm64(kScratch0, reinterpret_cast<uint64_t>(handled));
    e_.call_to(processor_.thunks_.handler);
    held_group_ = -1;
    checked_groups_ = 0;
    flags_clobbered();
    vectors_loaded_ = x87_loaded_ = false;
    if (!ends) return true;
    // Its handler always leaves the block; nothing comes here.
    exit_to(behind(in), completed(in) + 1);
    return false;
}

bool Translation::lea(const GuestInstruction& in) {
    const ZydisDecodedOperand& to = in.operand(0);
    if (!is_memory(in.operand(1))) return false;
    const unsigned number = general_register(to.reg.value);
    const HostReg home = kHomeOf[number];
    const bool wide = to.size == 64 || in.decoded.info.address_width == 32;
    if (to.size == 16) return false;
    if (home == kNoHostReg || !wide) {
        effective_address(kScratch0, in, in.operand(1), false);
        // A 32-bit result of a 64-bit address.
        if (!wide) e_.mov(kScratch0, kScratch0, false);
        if (home == kNoHostReg) {
            e_.store(guest(number), kScratch0);
        } else {
            e_.mov(home, kScratch0, wide);
        }
    } else {
        effective_address(home, in, in.operand(1), false);
    }
    return true;
}

bool Translation::push(const GuestInstruction& in) {
    const ZydisDecodedOperand& operand = in.operand(0);
    if (in.width() != 64) return false;
    if (is_register(operand) && ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_SEGMENT)
        return false;
    const HostReg rsp = kHomeOf[kRsp];
    if (is_memory(operand)) {
        access(in, operand, 8, AccessKind::kRead, kScratch0);
        e_.load(kScratch0, {.base = kScratch0});
        e_.store(frame(offsetof(HostFrame, scratch)), kScratch0);
    }
    HostMem to{.base = kScratch0};
    HostReg spare = kScratch1;
    if (grouped(in, to)) {
        spare = kScratch0;
    } else {
        stack_access(in, -8, AccessKind::kWrite, rsp, kScratch0);
    }
    if (is_register(operand)) {
        const unsigned number = general_register(operand.reg.value);
        HostReg home = kHomeOf[number];
        if (home == kNoHostReg) {
            home = spare;
            e_.load(home, guest(number));
        }
        e_.store(to, home);
    } else if (is_memory(operand)) {
        e_.load(kScratch1, frame(offsetof(HostFrame, scratch)));
        e_.store(to, kScratch1);
    } else {
        e_.store_imm32(to, static_cast<int32_t>(operand.imm.value.s));
    }
    e_.lea(rsp, {.base = rsp, .disp = -8});
    return true;
}

bool Translation::pop(const GuestInstruction& in) {
    const ZydisDecodedOperand& operand = in.operand(0);
    if (in.width() != 64 || !is_register(operand) ||
        ZydisRegisterGetClass(operand.reg.value) != ZYDIS_REGCLASS_GPR64) {
        return false;
    }
    const HostReg rsp = kHomeOf[kRsp];
    HostMem from{.base = kScratch0};
    if (!grouped(in, from)) stack_access(in, 0, AccessKind::kRead, rsp, kScratch0);
    const unsigned number = general_register(operand.reg.value);
    const HostReg home = kHomeOf[number];
    if (home == kNoHostReg) {
        e_.load(kScratch0, from);
        e_.store(guest(number), kScratch0);
    } else {
        e_.load(home, from);
    }
    if (number != kRsp) e_.lea(rsp, {.base = rsp, .disp = 8});
    return true;
}

bool Translation::leave(const GuestInstruction& in) {
    if (in.width() != 64) return false;
    stack_access(in, 0, AccessKind::kRead, kHomeOf[kRbp], kScratch0);
    e_.lea(kHomeOf[kRsp], {.base = kHomeOf[kRbp], .disp = 8});
    e_.load(kHomeOf[kRbp], {.base = kScratch0});
    return true;
}

// The 90+r form names RAX; the others are generic.
bool Translation::exchange(const GuestInstruction& in) {
    if (in.decoded.info.opcode == 0x86 || in.decoded.info.opcode == 0x87) return generic(in);
    const unsigned a = general_register(in.operand(0).reg.value);
    const unsigned b = general_register(in.operand(1).reg.value);
    const unsigned other = a == kRax ? b : a;
    HostReg home = kHomeOf[other];
    if (home == kNoHostReg) {
        home = kScratch1;
        e_.load(home, guest(other));
    }
    if (in.width() == 16) e_.byte(0x66);
    e_.rex(in.width() == 64, kRaxHome, 0, home);
    e_.byte(0x87);
    e_.modrm_reg(kRaxHome, home);
    if (home == kScratch1) e_.store(guest(other), home);
    return true;
}

// MUL and IMUL with one operand: the opcode names RAX, which goes through the host's.
bool Translation::multiply(const GuestInstruction& in) {
    const ZydisDecodedOperand& source = in.operand(0);
    Fields fields = original_fields(in.decoded, in.bytes);
    if (is_memory(source)) {
        access(in, source, source.size / 8u, AccessKind::kRead, kScratch1);
        fields.has_memory = true;
        fields.memory = {.base = kScratch1};
    } else {
        if (is_high_byte(source.reg.value)) return false;
        const unsigned number = general_register(source.reg.value);
        HostReg home = kHomeOf[number];
        if (home == kNoHostReg) {
            home = kScratch1;
            e_.load(home, guest(number));
        }
        fields.rm = home;
        fields.force_rex = source.size == 8;
    }
    e_.mov(kHostRax, kRaxHome);
    reencode(e_, in.decoded, in.bytes, fields);
    e_.mov(kRaxHome, kHostRax);
    flags_produced();
    return true;
}

// DIV and IDIV of 32 and 64 bits. What might overflow goes to the interpreter.
bool Translation::divide(const GuestInstruction& in) {
    const ZydisDecodedOperand& source = in.operand(0);
    if (source.size < 32) return false;
    const bool wide = source.size == 64;
    bool ends = false;
    save_flags();
    const void* handled = make_handled(in, ends);
    if (handled == nullptr) return false;
    Fields fields = original_fields(in.decoded, in.bytes);
    if (is_memory(source)) {
        access(in, source, source.size / 8u, AccessKind::kRead, kScratch1);
        e_.load(kScratch1, {.base = kScratch1}, wide);
    } else {
        const unsigned number = general_register(source.reg.value);
        if (kHomeOf[number] == kNoHostReg) {
            e_.load(kScratch1, guest(number), wide);
        } else {
            e_.mov(kScratch1, kHomeOf[number], wide);
        }
    }
    flags_clobbered();
    store_fip();
    const size_t index = cold_.size();
    {
        Cold& cold = cold_.emplace_back();
        cold.kind = Cold::Kind::kHandler;
        cold.handled = handled;
        if (in.mnemonic() == ZYDIS_MNEMONIC_DIV) {
            // Fits if the high half is below the divisor.
            e_.alu(Alu::kCmp, kHostRdx, kScratch1, wide);
            e_.jcc(Condition::kNb, cold.from);
            e_.mov(kHostRax, kRaxHome, wide);
        } else {
            // Fits if the dividend is a sign-extended half, and the divisor neither 0 nor -1.
            e_.lea(kHostRax, {.base = kScratch1, .disp = 1}, wide);
            e_.alu_imm(Alu::kCmp, kHostRax, 1, wide);
            e_.jcc(Condition::kBe, cold.from);
            e_.mov(kHostRax, kRaxHome, wide);
            e_.rex(wide, 0, 0, kHostRax);  // SAR RAX, 63 or 31
            e_.byte(0xc1);
            e_.modrm_reg(7, kHostRax);
            e_.byte(wide ? 63 : 31);
            e_.alu(Alu::kCmp, kHostRax, kHostRdx, wide);
            e_.jcc(Condition::kNz, cold.from);
            e_.mov(kHostRax, kRaxHome, wide);
        }
    }
    fields.rm = kScratch1;
    fields.has_memory = false;
    reencode(e_, in.decoded, in.bytes, fields);
    e_.mov(kRaxHome, kHostRax);
    e_.bind(cold_[index].back);
    vectors_loaded_ = x87_loaded_ = false;
    return true;
}

bool Translation::compare_exchange(const GuestInstruction& in) {
    const ZydisDecodedOperand& to = in.operand(0);
    const ZydisDecodedOperand& from = in.operand(1);
    if (is_high_byte(from.reg.value)) return false;
    const unsigned number = general_register(from.reg.value);
    if (kHomeOf[number] == kNoHostReg || !is_memory(to)) return false;
    Fields fields = original_fields(in.decoded, in.bytes);
    access(in, to, to.size / 8u, AccessKind::kWrite, kScratch1);
    fields.has_memory = true;
    fields.memory = {.base = kScratch1};
    fields.reg = kHomeOf[number];
    fields.force_rex = from.size == 8;
    e_.mov(kHostRax, kRaxHome);
    reencode(e_, in.decoded, in.bytes, fields);
    e_.mov(kRaxHome, kHostRax);
    flags_produced();
    return true;
}

bool Translation::compare_exchange_wide(const GuestInstruction& in) {
    const unsigned size = in.operand(0).size / 8u;
    access(in, in.operand(0), size, AccessKind::kWrite, kScratch1, size == 16 ? 16 : 1);
    restore_flags();  // only ZF is written
    Fields fields = original_fields(in.decoded, in.bytes);
    fields.has_memory = true;
    fields.memory = {.base = kScratch1};
    e_.mov(kHostRax, kRaxHome);
    reencode(e_, in.decoded, in.bytes, fields);
    e_.mov(kRaxHome, kHostRax);
    flags_produced();
    return true;
}

bool Translation::sign_extend(const GuestInstruction& in) {
    switch (in.mnemonic()) {
        case ZYDIS_MNEMONIC_CBW:  // MOVSX AX, AL
            e_.byte(0x66);
            e_.rex(false, kRaxHome, 0, kRaxHome);
            e_.byte(0x0f);
            e_.byte(0xbe);
            e_.modrm_reg(kRaxHome, kRaxHome);
            return true;
        case ZYDIS_MNEMONIC_CWDE:  // MOVSX EAX, AX
            e_.rex(false, kRaxHome, 0, kRaxHome);
            e_.byte(0x0f);
            e_.byte(0xbf);
            e_.modrm_reg(kRaxHome, kRaxHome);
            return true;
        case ZYDIS_MNEMONIC_CDQE:  // MOVSXD RAX, EAX
            e_.rex(true, kRaxHome, 0, kRaxHome);
            e_.byte(0x63);
            e_.modrm_reg(kRaxHome, kRaxHome);
            return true;
        default:  // CWD, CDQ, CQO: RDX is its own home; RAX is only read
            e_.mov(kHostRax, kRaxHome);
            if (in.width() == 16) e_.byte(0x66);
            if (in.width() == 64) e_.byte(0x48);
            e_.byte(0x99);
            return true;
    }
}

// LAHF and SAHF work on the flags in memory, whose high byte is what they move.
bool Translation::flags_in_ah(const GuestInstruction& in) {
    save_flags();
    const HostMem high = core(processor_.offsets_.flags + 1);
    e_.mov(kHostRax, kRaxHome);
    if (in.mnemonic() == ZYDIS_MNEMONIC_LAHF) {
        e_.byte(0x8a);  // MOV AH, [high]
        e_.modrm_mem(4, high);
        e_.mov(kRaxHome, kHostRax);
        return true;
    }
    e_.byte(0x80);  // AND AH, 0xd5
    e_.byte(0xe4);
    e_.byte(0xd5);
    e_.byte(0x80);  // OR AH, 2
    e_.byte(0xcc);
    e_.byte(0x02);
    e_.byte(0x88);  // MOV [high], AH
    e_.modrm_mem(4, high);
    flags_clobbered();
    return true;
}

// The instruction as an op of the interpreter; null if it knows none that fits into a block.
const void* Translation::make_handled(const GuestInstruction& in, bool& ends) {
    auto handled = std::make_unique<Handled>();
    handled->block_rip = rip_;
    handled->mnemonic = in.mnemonic();
    handled->count = static_cast<uint16_t>(completed(in));
    handled->op.offset = in.offset;
    handled->op.length = static_cast<uint8_t>(in.decoded.length());
    ends = interpreter::build_op(in.decoded, processor_.core_.mode, processor_.core_.shared,
                                 handled->op, nullptr);
    if (handled->op.handler == nullptr) return nullptr;
    processor_.handled_.push_back(std::move(handled));
    return processor_.handled_.back().get();
}

}  // namespace mynah::translator
