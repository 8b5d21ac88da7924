// Code of 16 and 32 bits: real, virtual-8086, protected and compatibility mode. Most instructions
// are written again as they are in 64-bit code; what differs is here: segments, the widths of the
// stack and of addresses, and what 64-bit code has no encoding for.

#include "engine/translator/instruction_kind.h"
#include "engine/translator/processor.h"
#include "engine/translator/translation.h"

namespace mynah::translator {

namespace {

constexpr HostReg kRaxHome = kHomeOf[kRax], kRspHome = kHomeOf[kRsp], kRbpHome = kHomeOf[kRbp];

bool is_stack_instruction(ZydisMnemonic mnemonic) {
    return mnemonic == ZYDIS_MNEMONIC_PUSH || mnemonic == ZYDIS_MNEMONIC_POP ||
           mnemonic == ZYDIS_MNEMONIC_CALL || mnemonic == ZYDIS_MNEMONIC_RET ||
           mnemonic == ZYDIS_MNEMONIC_LEAVE;
}

bool is_general(const ZydisDecodedOperand& operand) {
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) return false;
    const ZydisRegisterClass kind = ZydisRegisterGetClass(operand.reg.value);
    return kind == ZYDIS_REGCLASS_GPR8 || kind == ZYDIS_REGCLASS_GPR16 ||
           kind == ZYDIS_REGCLASS_GPR32;
}

// Moves between memory and an integer register's width, which W chooses in 64-bit code only.
bool moves_integer(ZydisMnemonic mnemonic) {
    switch (mnemonic) {
        case ZYDIS_MNEMONIC_VMOVD:
        case ZYDIS_MNEMONIC_VMOVQ:
        case ZYDIS_MNEMONIC_VCVTSI2SD:
        case ZYDIS_MNEMONIC_VCVTSI2SS:
        case ZYDIS_MNEMONIC_VPINSRD:
        case ZYDIS_MNEMONIC_VPEXTRD:
        case ZYDIS_MNEMONIC_VPCMPESTRI:
        case ZYDIS_MNEMONIC_VPCMPESTRM: return true;
        default: return false;
    }
}

}  // namespace

uint64_t Translation::linear(uint64_t rip) const {
    return legacy_ ? (processor_.mode_.cs_base + rip) & 0xffffffff : rip;
}

// The address of the next instruction.
uint64_t Translation::behind(const GuestInstruction& in) const {
    return legacy_ ? in.next() & 0xffffffff : in.next();
}

// Fields that 64-bit code looks at and other code does not must be clear.
bool Translation::vex_suits_legacy(const GuestInstruction& in) const {
    if (!processor_.core_.mode.protected_mode) return false;
    const ZydisDecodedInstruction& info = in.decoded.info;
    // They leave registers 8 to 15 alone here.
    if (info.mnemonic == ZYDIS_MNEMONIC_VZEROALL || info.mnemonic == ZYDIS_MNEMONIC_VZEROUPPER)
        return false;
    const bool wide = info.raw.vex.W != 0;
    if (wide && moves_integer(info.mnemonic)) return false;
    for (unsigned i = 0; i < info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = in.operand(i);
        if (wide && is_general(operand)) return false;
        if (operand.encoding == ZYDIS_OPERAND_ENCODING_IS4 &&
            (in.bytes[info.raw.imm[0].offset] & std::byte{0x80}) != std::byte{0}) {
            return false;
        }
    }
    return true;
}

// Whether its segments can be used as the block takes them to be, and whether it could be written
// again at all.
bool Translation::suits_legacy(const GuestInstruction& in) const {
    const ZydisMnemonic m = in.mnemonic();
    if (in.decoded.info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && !vex_suits_legacy(in))
        return false;
    if (m == ZYDIS_MNEMONIC_NOP || m == ZYDIS_MNEMONIC_LEA) return true;
    for (unsigned i = 0; i < in.decoded.info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = in.operand(i);
        if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
        const bool hidden = operand.visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT;
        if (hidden && !is_stack_instruction(m)) return false;
        const SegmentUse use = processor_.mode_.use(
            hidden ? x86::Segment::kSs : segment_of(operand.mem.segment));
        const bool writes = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
        if (use == SegmentUse::kOther || (writes && use == SegmentUse::kReadOnly)) return false;
    }
    return true;
}

// Lets the interpreter run the instruction if the condition holds. The flags are in memory, and
// nothing of the instruction was done.
void Translation::leave_if(const GuestInstruction& in, Condition condition) {
    store_fip();
    Cold& cold = cold_.emplace_back();
    cold.kind = Cold::Kind::kExit;
    cold.site = processor_.new_site({.target = in.rip,
                                     .block = block_id_,
                                     .count = static_cast<uint16_t>(completed(in)),
                                     .kind = ExitSite::Kind::kInterpret});
    e_.jcc(condition, cold.from);
}

// kScratch0: from an offset in the segment to the linear address of `size` bytes there.
void Translation::add_segment(const GuestInstruction& in, x86::Segment segment, unsigned size) {
    if (processor_.mode_.use(segment) == SegmentUse::kFlat) return;
    constexpr auto kSize = static_cast<int32_t>(sizeof(SegmentRegister));
    const int32_t at = processor_.offsets_.segments + kSize * static_cast<int32_t>(segment);
    // In 64 bits, where the difference of two 32-bit numbers has its sign.
    e_.load(kScratch1, core(at + int32_t{offsetof(SegmentRegister, limit)}), false);
    e_.alu(Alu::kSub, kScratch1, kScratch0);
    e_.alu_imm(Alu::kCmp, kScratch1, static_cast<int32_t>(size - 1));
    leave_if(in, Condition::kL);
    e_.alu(Alu::kAdd, kScratch0, core(at + int32_t{offsetof(SegmentRegister, base)}), false);
}

// The flags are in memory.
void Translation::legacy_access(const GuestInstruction& in, const ZydisDecodedOperand& mem,
                                unsigned size, AccessKind kind, HostReg result,
                                unsigned alignment) {
    effective_address(kScratch0, in, mem, false);
    const x86::Segment segment = segment_of(mem.mem.segment);
    add_segment(in, segment, size);
    const bool stack = segment == x86::Segment::kSs && mem.mem.index == ZYDIS_REGISTER_NONE &&
                       alignment == 1;
    if (stack) {
        check_stack(in, size, kind, result);
    } else {
        check_table(in, size, kind, result, alignment);
    }
}

// The linear address of [base + displacement] on the stack, into kScratch0.
void Translation::legacy_stack_address(const GuestInstruction& in, HostReg base,
                                       int32_t displacement, unsigned size) {
    e_.lea(kScratch0, {.base = base, .disp = displacement}, false);
    if (processor_.core_.mode.stack_size == CodeSize::k16)
        e_.zero_extend16(kScratch0, kScratch0);
    add_segment(in, x86::Segment::kSs, size);
}

// The stack pointer becomes from + change; a 16-bit one leaves the rest of RSP alone.
void Translation::move_stack(HostReg from, int32_t change) {
    const HostMem to{.base = from, .disp = change};
    if (processor_.core_.mode.stack_size == CodeSize::k16) {
        e_.lea16(kRspHome, to);
    } else {
        e_.lea(kRspHome, to, false);
    }
}

bool Translation::legacy_lea(const GuestInstruction& in) {
    const ZydisDecodedOperand& to = in.operand(0);
    if (to.size == 32) return lea(in);
    if (in.operand(1).type != ZYDIS_OPERAND_TYPE_MEMORY) return false;
    effective_address(kScratch0, in, in.operand(1), false);
    e_.mov16(kHomeOf[general_register(to.reg.value)], kScratch0);
    return true;
}

bool Translation::legacy_push(const GuestInstruction& in) {
    const ZydisDecodedOperand& operand = in.operand(0);
    const bool word = in.width() == 16;
    const unsigned size = word ? 2 : 4;
    const bool is_register = operand.type == ZYDIS_OPERAND_TYPE_REGISTER;
    if (is_register && !is_general(operand)) return false;
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
        access(in, operand, size, AccessKind::kRead, kScratch0);
        if (word) {
            e_.load_zero16(kScratch0, {.base = kScratch0});
        } else {
            e_.load(kScratch0, {.base = kScratch0}, false);
        }
        e_.store(frame(offsetof(HostFrame, scratch)), kScratch0);
    }
    stack_access(in, -static_cast<int32_t>(size), AccessKind::kWrite, kRspHome, kScratch0, size);
    HostReg from = kScratch1;
    if (is_register) {
        from = kHomeOf[general_register(operand.reg.value)];
    } else if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
        e_.load(from, frame(offsetof(HostFrame, scratch)));
    } else {
        e_.mov_imm(from, operand.imm.value.u & 0xffffffff);
    }
    if (word) {
        e_.store16({.base = kScratch0}, from);
    } else {
        e_.store({.base = kScratch0}, from, false);
    }
    move_stack(kRspHome, -static_cast<int32_t>(size));
    return true;
}

bool Translation::legacy_pop(const GuestInstruction& in) {
    const ZydisDecodedOperand& operand = in.operand(0);
    if (!is_general(operand)) return false;
    const bool word = in.width() == 16;
    const unsigned size = word ? 2 : 4;
    stack_access(in, 0, AccessKind::kRead, kRspHome, kScratch0, size);
    // The stack pointer first: it may be what is popped.
    const HostReg home = kHomeOf[general_register(operand.reg.value)];
    move_stack(kRspHome, static_cast<int32_t>(size));
    if (word) {
        e_.load16(home, {.base = kScratch0});
    } else {
        e_.load(home, {.base = kScratch0}, false);
    }
    return true;
}

bool Translation::legacy_leave(const GuestInstruction& in) {
    const bool word = in.width() == 16;
    const unsigned size = word ? 2 : 4;
    stack_access(in, 0, AccessKind::kRead, kRbpHome, kScratch0, size);
    move_stack(kRbpHome, static_cast<int32_t>(size));
    if (word) {
        e_.load16(kRbpHome, {.base = kScratch0});
    } else {
        e_.load(kRbpHome, {.base = kScratch0}, false);
    }
    return true;
}

// MOV between the accumulator and an address in the instruction.
bool Translation::move_at_offset(const GuestInstruction& in) {
    const unsigned opcode = in.decoded.info.opcode;
    const bool store = opcode >= 0xa2;
    const ZydisDecodedOperand& mem = in.operand(store ? 0 : 1);
    const unsigned size = mem.size / 8u;
    access(in, mem, size, store ? AccessKind::kWrite : AccessKind::kRead, kScratch0);
    if (size == 2) e_.byte(0x66);
    e_.rex(false, kRaxHome, 0, kScratch0);
    e_.byte((store ? 0x88u : 0x8au) | (opcode & 1));
    e_.modrm_mem(kRaxHome, {.base = kScratch0});
    return true;
}

bool Translation::legacy_operation(const GuestInstruction& in) {
    if (!suits_legacy(in)) return false;
    const unsigned opcode = in.decoded.info.opcode;
    switch (in.mnemonic()) {
        case ZYDIS_MNEMONIC_LEA: return legacy_lea(in);
        case ZYDIS_MNEMONIC_PUSH: return legacy_push(in);
        case ZYDIS_MNEMONIC_POP: return legacy_pop(in);
        case ZYDIS_MNEMONIC_LEAVE: return legacy_leave(in);
        case ZYDIS_MNEMONIC_MOV:
            if (in.decoded.info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && opcode >= 0xa0 &&
                opcode <= 0xa3) {
                return move_at_offset(in);
            }
            return operation(in);
        default: return operation(in);
    }
}

}  // namespace mynah::translator
