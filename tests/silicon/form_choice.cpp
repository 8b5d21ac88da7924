#include "silicon/form_choice.h"

#include <optional>

#include "silicon/encode.h"

namespace mynah::silicon {
namespace {

bool is_branch(ZydisMnemonic mnemonic, ZydisInstructionCategory category) {
    switch (category) {
        case ZYDIS_CATEGORY_CALL:
        case ZYDIS_CATEGORY_COND_BR:
        case ZYDIS_CATEGORY_UNCOND_BR:
        case ZYDIS_CATEGORY_RET:
        case ZYDIS_CATEGORY_SYSCALL:
        case ZYDIS_CATEGORY_SYSRET: return true;
        default: break;
    }
    return mnemonic == ZYDIS_MNEMONIC_IRET || mnemonic == ZYDIS_MNEMONIC_IRETD ||
           mnemonic == ZYDIS_MNEMONIC_IRETQ;
}

// Selectors that registers happen to hold mean other segments on the host than in the guest; a GS
// base that is not the test's could point anywhere; which components XSAVE finds in their initial
// state after some instructions is each processor's own business [SDM 1 13.6], and XRSTOR, given an
// image that a block has written to, knows the components of the host.
bool unfit(ZydisMnemonic mnemonic) {
    switch (mnemonic) {
        case ZYDIS_MNEMONIC_LAR:
        case ZYDIS_MNEMONIC_LSL:
        case ZYDIS_MNEMONIC_VERR:
        case ZYDIS_MNEMONIC_VERW:
        case ZYDIS_MNEMONIC_LDS:
        case ZYDIS_MNEMONIC_LES:
        case ZYDIS_MNEMONIC_LSS:
        case ZYDIS_MNEMONIC_WRGSBASE:
        case ZYDIS_MNEMONIC_RDFSBASE:
        case ZYDIS_MNEMONIC_XSAVE:
        case ZYDIS_MNEMONIC_XSAVE64:
        case ZYDIS_MNEMONIC_XSAVEC:
        case ZYDIS_MNEMONIC_XSAVEC64:
        case ZYDIS_MNEMONIC_XSAVEOPT:
        case ZYDIS_MNEMONIC_XSAVEOPT64:
        case ZYDIS_MNEMONIC_XRSTOR:
        case ZYDIS_MNEMONIC_XRSTOR64:
        case ZYDIS_MNEMONIC_SWAPGS: return true;
        default: return false;
    }
}

bool loads_segment(const Form& form) {
    if (form.vex) return false;
    if (form.map == 0) {
        return form.opcode == 0x8e || form.opcode == 0x07 || form.opcode == 0x17 ||
               form.opcode == 0x1f;
    }
    return form.map == 1 && (form.opcode == 0xa1 || form.opcode == 0xa9);
}

// An instruction of this form, whose properties all instructions of it share.
std::optional<Instruction> example(const Form& form) {
    Case test;
    Random random(1);
    for (unsigned i = 0; i < 100; ++i) {
        if (encode(form, random, test)) return test.instruction;
    }
    return std::nullopt;
}

bool accesses_memory(const Instruction& instruction) {
    for (unsigned i = 0; i < instruction.info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = instruction.operands[i];
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.type == ZYDIS_MEMOP_TYPE_MEM)
            return true;
    }
    return false;
}

}  // namespace

int FormChoice::kind_of(const Form& form) {
    if (exclusion_reason(form) != nullptr || unfit(form.mnemonic) || loads_segment(form)) return -1;
    const auto instruction = example(form);
    if (!instruction) return -1;
    const ZydisInstructionCategory category = instruction->info.meta.category;
    if (is_branch(form.mnemonic, category)) return -1;
    switch (category) {
        case ZYDIS_CATEGORY_STRINGOP: return kString;
        case ZYDIS_CATEGORY_X87_ALU:
        case ZYDIS_CATEGORY_FCMOV:
        case ZYDIS_CATEGORY_MMX: return kX87;
        case ZYDIS_CATEGORY_SYSTEM:
        case ZYDIS_CATEGORY_INTERRUPT:
        case ZYDIS_CATEGORY_IO:
        case ZYDIS_CATEGORY_IOSTRINGOP:
        case ZYDIS_CATEGORY_XSAVE:
        case ZYDIS_CATEGORY_XSAVEOPT:
        case ZYDIS_CATEGORY_SEGOP:
        case ZYDIS_CATEGORY_UFMA: return kSystem;
        default: break;
    }
    if (instruction->has_prefix(ZYDIS_ATTRIB_IS_PRIVILEGED)) return kSystem;
    for (unsigned i = 0; i < instruction->info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = instruction->operands[i];
        if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
        const ZydisRegisterClass type = ZydisRegisterGetClass(operand.reg.value);
        const bool vector = type == ZYDIS_REGCLASS_XMM || type == ZYDIS_REGCLASS_YMM;
        if (vector) return form.vex ? kAvx : kSse;
        if (type == ZYDIS_REGCLASS_MMX) return kX87;
    }
    return accesses_memory(*instruction) ? kIntegerMemory : kInteger;
}

FormChoice::FormChoice(const std::vector<Form>& forms) {
    for (Choice& choice : choices_) {
        Instructions by_mnemonic[kKinds];
        const CodeSize mode = &choice == &choices_[0] ? CodeSize::k64 : CodeSize::k32;
        for (const Form& form : forms) {
            const int kind = form.mode == mode ? kind_of(form) : -1;
            if (kind >= 0) by_mnemonic[kind][form.mnemonic].push_back(&form);
        }
        for (unsigned kind = 0; kind < kKinds; ++kind) {
            for (auto& [mnemonic, list] : by_mnemonic[kind]) {
                choice.of[kind].push_back(std::move(list));
            }
        }
    }
}

const Form& FormChoice::pick(CodeSize mode, Random& random) const {
    // In percent, roughly what hot code is made of; system instructions mostly end a block.
    static constexpr unsigned kShares[kKinds] = {32, 30, 5, 9, 11, 12, 1};
    const Choice& choice = choices_[mode == CodeSize::k64 ? 0 : 1];
    auto share = static_cast<unsigned>(random.below(100));
    unsigned kind = 0;
    while (share >= kShares[kind]) share -= kShares[kind++];
    const auto& instructions = choice.of[kind];
    const auto& forms = instructions[random.below(instructions.size())];
    return *forms[random.below(forms.size())];
}

}  // namespace mynah::silicon
