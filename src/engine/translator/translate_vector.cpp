// SSE and AVX: written again as they are, on the guest's registers in the host's.

#include "engine/interpreter/vector.h"
#include "engine/translator/processor.h"
#include "engine/translator/translation.h"

namespace mynah::translator {
namespace {

bool is_vector_extension(ZydisISAExt extension) {
    switch (extension) {
        case ZYDIS_ISA_EXT_SSE:
        case ZYDIS_ISA_EXT_SSE2:
        case ZYDIS_ISA_EXT_SSE3:
        case ZYDIS_ISA_EXT_SSSE3:
        case ZYDIS_ISA_EXT_SSE4:
        case ZYDIS_ISA_EXT_AES:
        case ZYDIS_ISA_EXT_PCLMULQDQ:
        case ZYDIS_ISA_EXT_SHA:
        case ZYDIS_ISA_EXT_GFNI:
        case ZYDIS_ISA_EXT_AVX:
        case ZYDIS_ISA_EXT_AVX2:
        case ZYDIS_ISA_EXT_AVXAES:
        case ZYDIS_ISA_EXT_FMA:
        case ZYDIS_ISA_EXT_F16C:
        case ZYDIS_ISA_EXT_VAES:
        case ZYDIS_ISA_EXT_VPCLMULQDQ: return true;
        default: return false;
    }
}

// Instructions that work on vector state and name no vector register.
bool names_none(ZydisMnemonic mnemonic) {
    return mnemonic == ZYDIS_MNEMONIC_STMXCSR || mnemonic == ZYDIS_MNEMONIC_VSTMXCSR ||
           mnemonic == ZYDIS_MNEMONIC_VZEROUPPER || mnemonic == ZYDIS_MNEMONIC_VZEROALL;
}

}  // namespace

// Makes sure that the host's vector registers hold the guest's.
void Translation::want_vectors() {
    if (vectors_loaded_) return;
    give_up_flags();
    e_.cmp8_mem_imm(frame(offsetof(HostFrame, vectors_live)), 0);
    const size_t index = cold_.size();
    Cold& cold = cold_.emplace_back();
    cold.kind = Cold::Kind::kLoadVectors;
    e_.jcc(Condition::kZ, cold.from);
    e_.bind(cold_[index].back);
    vectors_loaded_ = true;
}

bool Translation::vector_fits(const GuestInstruction& in, unsigned& alignment) const {
    const ZydisDecodedInstruction& info = in.decoded.info;
    if (!is_vector_extension(info.meta.isa_ext)) return false;
    const bool vex = info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    if (!processor_.vectors_usable(vex)) return false;
    alignment = 1;
    bool named = names_none(info.mnemonic);
    for (unsigned i = 0; i < info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = in.operand(i);
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
            if (operand.mem.type != ZYDIS_MEMOP_TYPE_MEM) return false;
            alignment = interpreter::vector_alignment(info, operand.size / 8u);
        }
        if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
        const ZydisRegisterClass kind = ZydisRegisterGetClass(operand.reg.value);
        named = named || kind == ZYDIS_REGCLASS_XMM || kind == ZYDIS_REGCLASS_YMM;
        if (kind == ZYDIS_REGCLASS_MMX || kind == ZYDIS_REGCLASS_X87) return false;
        // PCMPESTRI and PCMPESTRM name RAX by their opcode alone.
        if ((kind == ZYDIS_REGCLASS_GPR32 || kind == ZYDIS_REGCLASS_GPR64) &&
            operand.visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT &&
            ZydisRegisterGetId(operand.reg.value) == kRax) {
            return false;
        }
    }
    return named;
}

bool Translation::vector(const GuestInstruction& in) {
    unsigned alignment = 1;
    if (!vector_fits(in, alignment)) return false;
    want_vectors();
    return generic(in, alignment);
}

}  // namespace mynah::translator
