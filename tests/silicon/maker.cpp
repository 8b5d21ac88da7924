#include "silicon/maker.h"

#include <cpuid.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bits.h"

namespace mynah::silicon {
namespace {

constexpr int kAlignmentCheck = 17;

bool host_has_serialize() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx >> 14 & 1) != 0;
}

// PUSH and POP.
bool moves_segment(const Form& form) {
    if (form.map == 1) return (form.opcode & 0xf6) == 0xa0;
    return (form.opcode & 0xe6) == 0x06;
}

bool uses_mmx(const Instruction& instruction) {
    for (unsigned i = 0; i < instruction.info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = instruction.operands[i];
        if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
            ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_MMX)
            return true;
    }
    return false;
}

}  // namespace

bool host_is_amd() {
    static const bool amd = [] {
        unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
        return __get_cpuid(0, &eax, &ebx, &ecx, &edx) != 0 && ebx == signature_AMD_ebx &&
               ecx == signature_AMD_ecx && edx == signature_AMD_edx;
    }();
    return amd;
}

bool host_stores_x87_pointers() {
    static const bool stores = [] {
        alignas(16) std::array<std::byte, 512> area{}, found{};
        asm volatile("fxsave64 %0" : "=m"(area));
        auto with_pointer = area;
        store_unaligned(with_pointer.data() + 8, uint64_t{0x1234});
        asm volatile("fxrstor64 %1; fxsave64 %0; fxrstor64 %2"
                     : "=m"(found)
                     : "m"(with_pointer), "m"(area));
        return load_unaligned<uint64_t>(found.data() + 8) == 0x1234;
    }();
    return stores;
}

const char* differs_on_amd(const Form& form) {
    switch (form.mnemonic) {
        case ZYDIS_MNEMONIC_SERIALIZE:
            return host_has_serialize() ? nullptr : "is not there";
        case ZYDIS_MNEMONIC_PAUSE:
            return "with REX.B it is XCHG";
        case ZYDIS_MNEMONIC_CLGI:
        case ZYDIS_MNEMONIC_STGI:
        case ZYDIS_MNEMONIC_SKINIT:
        case ZYDIS_MNEMONIC_INVLPGA:
        case ZYDIS_MNEMONIC_VMRUN:
        case ZYDIS_MNEMONIC_VMLOAD:
        case ZYDIS_MNEMONIC_VMSAVE:
            return "is there";
        case ZYDIS_MNEMONIC_SYSRET:
            return form.mode == CodeSize::k32 ? "is there outside 64-bit code" : nullptr;
        case ZYDIS_MNEMONIC_PUSH:
        case ZYDIS_MNEMONIC_POP:
            return moves_segment(form) ? "accesses all of a stack slot" : nullptr;
        case ZYDIS_MNEMONIC_LSS:
        case ZYDIS_MNEMONIC_JMP:
        case ZYDIS_MNEMONIC_CALL:
            return form.wide && form.memory ? "REX.W does not widen far pointers" : nullptr;
        case ZYDIS_MNEMONIC_NOP:
            return form.map == 1 && form.opcode == 0x0d ? "a prefetch of a register is refused"
                                                        : nullptr;
        case ZYDIS_MNEMONIC_VPEXTRD:
        case ZYDIS_MNEMONIC_VPINSRD:
            return form.wide && form.mode == CodeSize::k32 ? "VEX.W is refused" : nullptr;
        case ZYDIS_MNEMONIC_SHA1MSG1:
        case ZYDIS_MNEMONIC_SHA1MSG2:
        case ZYDIS_MNEMONIC_SHA1NEXTE:
        case ZYDIS_MNEMONIC_SHA1RNDS4:
        case ZYDIS_MNEMONIC_SHA256MSG1:
        case ZYDIS_MNEMONIC_SHA256MSG2:
        case ZYDIS_MNEMONIC_SHA256RNDS2:
            return form.memory ? "need not be aligned" : nullptr;
        case ZYDIS_MNEMONIC_LDMXCSR:
        case ZYDIS_MNEMONIC_VLDMXCSR:
        case ZYDIS_MNEMONIC_FXRSTOR:
        case ZYDIS_MNEMONIC_FXRSTOR64:
            return "MXCSR has a bit more";
        case ZYDIS_MNEMONIC_MOVSXD:
            return form.memory && !form.wide && !form.prefixes.empty()
                       ? "a 16-bit one reads 32 bits"
                       : nullptr;
        case ZYDIS_MNEMONIC_UD0:
        case ZYDIS_MNEMONIC_UD1:
            return "is refused before all of it is fetched";
        case ZYDIS_MNEMONIC_FNSTENV:
        case ZYDIS_MNEMONIC_FNSAVE:
            return "the x87 pointers have segments";
        case ZYDIS_MNEMONIC_FXSAVE:
        case ZYDIS_MNEMONIC_FXSAVE64:
        case ZYDIS_MNEMONIC_XSAVE:
        case ZYDIS_MNEMONIC_XSAVE64:
        case ZYDIS_MNEMONIC_XSAVEC:
        case ZYDIS_MNEMONIC_XSAVEC64:
        case ZYDIS_MNEMONIC_XSAVEOPT:
        case ZYDIS_MNEMONIC_XSAVEOPT64:
            return host_stores_x87_pointers() ? nullptr : "x87 pointers are not stored";
        default:
            return nullptr;
    }
}

// Its count has 32 bits, of which the upper half of RCX is left alone.
bool differs_on_amd(const Instruction& instruction) {
    constexpr auto kRepeats = ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE;
    return instruction.info.machine_mode == ZYDIS_MACHINE_MODE_LONG_64 &&
           instruction.info.address_width == 32 && instruction.has_prefix(kRepeats);
}

// Vector operands are checked for alignment, too. Of several accesses the order is another, what is
// done before one of them faults, and which of several faults is raised.
bool amd_went_its_own_way(const Instruction& instruction, const Ending& host) {
    if (host.vector == kAlignmentCheck) return true;
    if (host.vector == Ending::kCompleted) return false;
    const auto& meta = instruction.info.meta;
    if (meta.category == ZYDIS_CATEGORY_AVX2GATHER || meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ||
        uses_mmx(instruction))
        return true;
    switch (instruction.mnemonic()) {
        case ZYDIS_MNEMONIC_FST:
        case ZYDIS_MNEMONIC_FSTP:
        case ZYDIS_MNEMONIC_FIST:
        case ZYDIS_MNEMONIC_FISTP:
        case ZYDIS_MNEMONIC_FISTTP:
        case ZYDIS_MNEMONIC_FBSTP:
        case ZYDIS_MNEMONIC_MASKMOVDQU:
        case ZYDIS_MNEMONIC_VMASKMOVDQU:
        case ZYDIS_MNEMONIC_VCVTPS2PH:
        case ZYDIS_MNEMONIC_BOUND:
        case ZYDIS_MNEMONIC_IRET:
        case ZYDIS_MNEMONIC_IRETD:
        case ZYDIS_MNEMONIC_IRETQ:
        case ZYDIS_MNEMONIC_SCASB:
        case ZYDIS_MNEMONIC_SCASW:
        case ZYDIS_MNEMONIC_SCASD:
        case ZYDIS_MNEMONIC_SCASQ:
        case ZYDIS_MNEMONIC_CMPSB:
        case ZYDIS_MNEMONIC_CMPSW:
        case ZYDIS_MNEMONIC_CMPSD:
        case ZYDIS_MNEMONIC_CMPSQ:
            return true;
        default:
            return false;
    }
}

}  // namespace mynah::silicon
