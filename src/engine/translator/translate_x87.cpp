// x87 and MMX: written again as they are, on the guest's registers in the host's x87 unit.
//
// Every exception is masked (Processor::x87_usable), so that nothing here faults but the access to
// a memory operand. Of the pointers to the last instruction [SDM 1 8.1.8] FIP is a number known at
// translation time, and stored where the block can be left.

#include "cpu/cpu_state.h"
#include "engine/interpreter/vector.h"
#include "engine/interpreter/x87.h"
#include "engine/translator/processor.h"
#include "engine/translator/translation.h"

namespace mynah::translator {
namespace {

constexpr uint16_t kFcwMasks = 0x3f, kFcwWritable = 0x1f3f, kFcwOnes = 0x40;

bool is_x87_opcode(const ZydisDecodedInstruction& info) {
    return info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
           info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && info.opcode >= 0xd8 &&
           info.opcode <= 0xdf;
}

bool is_class(const ZydisDecodedOperand& operand, ZydisRegisterClass kind) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
           ZydisRegisterGetClass(operand.reg.value) == kind;
}

// Those that leave the pointers alone.
bool is_control(ZydisMnemonic mnemonic) {
    switch (mnemonic) {
        case ZYDIS_MNEMONIC_FNCLEX:
        case ZYDIS_MNEMONIC_FNINIT:
        case ZYDIS_MNEMONIC_FNSTSW:
        case ZYDIS_MNEMONIC_FNSTCW:
        case ZYDIS_MNEMONIC_FLDCW:
        case ZYDIS_MNEMONIC_FLDENV:
        case ZYDIS_MNEMONIC_FNSTENV:
        case ZYDIS_MNEMONIC_FRSTOR:
        case ZYDIS_MNEMONIC_FNSAVE:
        case ZYDIS_MNEMONIC_FDISI8087_NOP:
        case ZYDIS_MNEMONIC_FENI8087_NOP:
        case ZYDIS_MNEMONIC_FSETPM287_NOP: return true;
        default: return false;
    }
}

const ZydisDecodedOperand* memory_operand(const GuestInstruction& in) {
    for (unsigned i = 0; i < in.decoded.visible_operands(); ++i) {
        if (in.operand(i).type == ZYDIS_OPERAND_TYPE_MEMORY) return &in.operand(i);
    }
    return nullptr;
}

// Converts from memory or vector registers as MXCSR says.
bool converts_to_mmx(ZydisMnemonic mnemonic) {
    return mnemonic == ZYDIS_MNEMONIC_CVTPS2PI || mnemonic == ZYDIS_MNEMONIC_CVTTPS2PI ||
           mnemonic == ZYDIS_MNEMONIC_CVTPD2PI || mnemonic == ZYDIS_MNEMONIC_CVTTPD2PI;
}

AccessKind access_kind(const ZydisDecodedOperand& operand) {
    return (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0 ? AccessKind::kWrite
                                                                    : AccessKind::kRead;
}

}  // namespace

// Makes sure that the host's x87 unit has the guest's state.
void Translation::want_x87() {
    if (x87_loaded_) return;
    give_up_flags();
    e_.cmp8_mem_imm(frame(offsetof(HostFrame, x87_live)), 0);
    const size_t index = cold_.size();
    Cold& cold = cold_.emplace_back();
    cold.kind = Cold::Kind::kLoadX87;
    e_.jcc(Condition::kZ, cold.from);
    e_.bind(cold_[index].back);
    x87_loaded_ = true;
}

// Changes neither flags nor registers.
void Translation::store_fip() {
    if (x87_last_ == nullptr) return;
    const auto rip = static_cast<int64_t>(x87_last_->rip);
    x87_last_ = nullptr;
    const int32_t fip = processor_.offsets_.x87 + int32_t{offsetof(X87State, fip)};
    const auto low = static_cast<int32_t>(rip);
    e_.store_imm32(core(fip), low, low == rip);
    if (low != rip) e_.store_imm32(core(fip + 4), static_cast<int32_t>(rip >> 32), false);
}

bool Translation::x87_fits(const GuestInstruction& in) const {
    return is_x87_opcode(in.decoded.info) && !is_control(in.mnemonic()) &&
           processor_.x87_usable();
}

void Translation::initialise_x87() {
    e_.byte(0xdb);  // FNINIT
    e_.byte(0xe3);
    x87_last_ = nullptr;
    const auto field = [&](size_t offset) {
        return core(processor_.offsets_.x87 + static_cast<int32_t>(offset));
    };
    e_.store_imm32(field(offsetof(X87State, fip)), 0);
    e_.store_imm32(field(offsetof(X87State, fdp)), 0);
    e_.store_imm8(field(offsetof(X87State, fop)), 0);
    e_.store_imm8(field(offsetof(X87State, fop) + 1), 0);
}

bool Translation::x87_control(const GuestInstruction& in) {
    const ZydisDecodedOperand* mem = memory_operand(in);
    switch (in.mnemonic()) {
        case ZYDIS_MNEMONIC_FNCLEX:
            want_x87();
            e_.byte(0xdb);
            e_.byte(0xe2);
            return true;
        case ZYDIS_MNEMONIC_FNINIT:
            want_x87();
            initialise_x87();
            return true;
        case ZYDIS_MNEMONIC_FNSTSW:
        case ZYDIS_MNEMONIC_FNSTCW:
            want_x87();
            if (mem == nullptr) {  // FNSTSW AX, then MOV r16, AX
                e_.byte(0xdf);
                e_.byte(0xe0);
                e_.byte(0x66);
                e_.mov(kHomeOf[kRax], kHostRax, false);
                return true;
            }
            access(in, *mem, 2, AccessKind::kWrite, kScratch0);
            e_.byte(in.decoded.info.opcode);
            e_.modrm_mem(7, {.base = kScratch0});
            return true;
        case ZYDIS_MNEMONIC_FLDCW: load_control_word(in, *mem); return true;
        default: return false;  // the whole environment, or a relic
    }
}

// A word that unmasks an exception is the interpreter's. The word is loaded from a copy: another
// processor may change the operand after the check.
void Translation::load_control_word(const GuestInstruction& in, const ZydisDecodedOperand& mem) {
    save_flags();  // the exit below wants them
    want_x87();
    store_fip();
    access(in, mem, 2, AccessKind::kRead, kScratch0);
    e_.load_zero16(kScratch0, {.base = kScratch0});
    e_.alu_imm(Alu::kAnd, kScratch0, kFcwWritable, false);
    e_.alu_imm(Alu::kOr, kScratch0, kFcwOnes, false);
    e_.store16(frame(offsetof(HostFrame, scratch)), kScratch0);
    e_.alu_imm(Alu::kAnd, kScratch0, kFcwMasks, false);
    e_.alu_imm(Alu::kCmp, kScratch0, kFcwMasks, false);
    const uint32_t site = processor_.new_site({.target = in.rip,
                                               .block = block_id_,
                                               .count = static_cast<uint16_t>(completed(in)),
                                               .kind = ExitSite::Kind::kInterpret});
    Cold& cold = cold_.emplace_back();
    cold.kind = Cold::Kind::kExit;
    cold.site = site;
    e_.jcc(Condition::kNz, cold.from);
    e_.byte(0xd9);
    e_.modrm_mem(5, frame(offsetof(HostFrame, scratch)));
}

// The pointers after an instruction that was run. FIP is stored later; where the others change with
// every instruction, all are stored at once.
void Translation::note_x87(const GuestInstruction& in, const ZydisDecodedOperand* mem) {
    x87_last_ = &in;
    const bool operand = interpreter::records_every_operand() && mem != nullptr;
    const bool opcode = interpreter::records_every_opcode();
    if (!operand && !opcode) return;
    store_fip();
    const auto& modrm = in.decoded.info.raw.modrm;
    const unsigned fop = (in.decoded.info.opcode & 7u) << 8 | unsigned{modrm.mod} << 6 |
                         unsigned{modrm.reg} << 3 | modrm.rm;
    const auto field = [&](size_t offset) {
        return core(processor_.offsets_.x87 + static_cast<int32_t>(offset));
    };
    if (opcode) {
        e_.store_imm8(field(offsetof(X87State, fop)), static_cast<uint8_t>(fop));
        e_.store_imm8(field(offsetof(X87State, fop) + 1), static_cast<uint8_t>(fop >> 8));
    }
    if (operand) {
        effective_address(kScratch0, in, *mem, false);
        e_.store(field(offsetof(X87State, fdp)), kScratch0);
    }
}

// False, with nothing done that matters: the handler's.
bool Translation::x87(const GuestInstruction& in) {
    const ZydisDecodedInstruction& info = in.decoded.info;
    if (in.mnemonic() == ZYDIS_MNEMONIC_FWAIT) return processor_.x87_usable();  // nothing pends
    if (!is_x87_opcode(info)) return mmx(in);
    if (!processor_.x87_usable()) return false;
    if (is_control(in.mnemonic())) return x87_control(in);

    want_x87();
    const unsigned extension = info.raw.modrm.reg;
    const ZydisDecodedOperand* const mem = memory_operand(in);
    if (mem != nullptr) {
        HostMem host{.base = kScratch0};
        if (!grouped(in, host)) access(in, *mem, mem->size / 8u, access_kind(*mem), kScratch0);
        e_.rex_mem(false, 0, host);
        e_.byte(info.opcode);
        e_.modrm_mem(extension, host);
    } else {
        // FCMOVcc reads flags. FCOMI and its kin write some, and not always all of those.
        const bool writes = in.flags_written != 0;
        if (in.flags_read != 0 || writes) restore_flags();
        e_.byte(info.opcode);
        e_.modrm_reg(extension, info.raw.modrm.rm);
        if (writes) flags_produced();
    }
    note_x87(in, mem);
    return true;
}

bool Translation::mmx_fits(const GuestInstruction& in, unsigned& alignment) const {
    const ZydisDecodedInstruction& info = in.decoded.info;
    bool named = info.mnemonic == ZYDIS_MNEMONIC_EMMS;
    for (unsigned i = 0; i < info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = in.operand(i);
        named = named || is_class(operand, ZYDIS_REGCLASS_MMX);
        if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
        if (operand.mem.type != ZYDIS_MEMOP_TYPE_MEM) return false;
        alignment = interpreter::vector_alignment(info, operand.size / 8u);
    }
    if (!named || !processor_.x87_usable()) return false;
    // What came with SSE is only there where SSE is.
    return info.meta.isa_set == ZYDIS_ISA_SET_PENTIUMMMX || processor_.vectors_usable(false);
}

bool Translation::mmx(const GuestInstruction& in) {
    unsigned alignment = 1;
    if (!mmx_fits(in, alignment)) return false;
    want_x87();
    if (in.mnemonic() == ZYDIS_MNEMONIC_EMMS) {
        e_.byte(0x0f);
        e_.byte(0x77);
        return true;
    }
    bool vectors = converts_to_mmx(in.mnemonic());
    for (unsigned i = 0; i < in.decoded.visible_operands(); ++i) {
        vectors = vectors || is_class(in.operand(i), ZYDIS_REGCLASS_XMM);
    }
    if (vectors) want_vectors();
    return generic(in, alignment);
}

}  // namespace mynah::translator
