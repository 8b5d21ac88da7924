// Which instructions the guest's CPUID offers.

#include <string_view>

#include "engine/interpreter/builder.h"

namespace mynah::interpreter {
namespace {

// What an instruction set hangs on: nothing, a feature by CpuidPolicy's name, or it is never there.
constexpr std::string_view kAlways = "", kNever = "-";

std::string_view feature_of(ZydisISASet set) {
    switch (set) {
        case ZYDIS_ISA_SET_I86:
        case ZYDIS_ISA_SET_I186:
        case ZYDIS_ISA_SET_I286PROTECTED:
        case ZYDIS_ISA_SET_I286REAL:
        case ZYDIS_ISA_SET_I386:
        case ZYDIS_ISA_SET_I486:
        case ZYDIS_ISA_SET_I486REAL:
        case ZYDIS_ISA_SET_PENTIUMREAL:
        case ZYDIS_ISA_SET_PPRO:
        case ZYDIS_ISA_SET_FAT_NOP:
        case ZYDIS_ISA_SET_PAUSE:
        case ZYDIS_ISA_SET_PREFETCH_NOP:
        case ZYDIS_ISA_SET_LONGMODE:
        case ZYDIS_ISA_SET_AMD:  // SYSCALL and SYSRET
        case ZYDIS_ISA_SET_RDPMC:
        case ZYDIS_ISA_SET_LAHF:
            return kAlways;
        case ZYDIS_ISA_SET_X87:
            return "fpu";
        case ZYDIS_ISA_SET_PENTIUMMMX:
            return "mmx";
        case ZYDIS_ISA_SET_CMOV:
        case ZYDIS_ISA_SET_FCMOV:
            return "cmov";
        case ZYDIS_ISA_SET_CMPXCHG16B:
            return "cx16";
        case ZYDIS_ISA_SET_FXSAVE:
        case ZYDIS_ISA_SET_FXSAVE64:
            return "fxsr";
        case ZYDIS_ISA_SET_SSE:
        case ZYDIS_ISA_SET_SSEMXCSR:
        case ZYDIS_ISA_SET_SSE_PREFETCH:
            return "sse";
        case ZYDIS_ISA_SET_SSE2:
        case ZYDIS_ISA_SET_SSE2MMX:
            return "sse2";
        case ZYDIS_ISA_SET_SSE3:
        case ZYDIS_ISA_SET_SSE3X87:
            return "sse3";
        case ZYDIS_ISA_SET_SSSE3:
        case ZYDIS_ISA_SET_SSSE3MMX:
            return "ssse3";
        case ZYDIS_ISA_SET_SSE4:
            return "sse4.1";
        case ZYDIS_ISA_SET_SSE42:
            return "sse4.2";
        case ZYDIS_ISA_SET_AES:
            return "aes";
        case ZYDIS_ISA_SET_PCLMULQDQ:
            return "pclmulqdq";
        case ZYDIS_ISA_SET_SHA:
            return "sha";
        case ZYDIS_ISA_SET_AVX:
        case ZYDIS_ISA_SET_AVXAES:
            return "avx";
        case ZYDIS_ISA_SET_AVX2:
        case ZYDIS_ISA_SET_AVX2GATHER:
            return "avx2";
        case ZYDIS_ISA_SET_VAES:
            return "vaes";
        case ZYDIS_ISA_SET_VPCLMULQDQ:
            return "vpclmulqdq";
        case ZYDIS_ISA_SET_FMA:
            return "fma";
        case ZYDIS_ISA_SET_F16C:
            return "f16c";
        case ZYDIS_ISA_SET_BMI1:
            return "bmi1";
        case ZYDIS_ISA_SET_BMI2:
            return "bmi2";
        case ZYDIS_ISA_SET_LZCNT:
            return "lzcnt";
        case ZYDIS_ISA_SET_POPCNT:
            return "popcnt";
        case ZYDIS_ISA_SET_ADOX_ADCX:
            return "adx";
        case ZYDIS_ISA_SET_MOVBE:
            return "movbe";
        case ZYDIS_ISA_SET_RDRAND:
            return "rdrand";
        case ZYDIS_ISA_SET_RDSEED:
            return "rdseed";
        case ZYDIS_ISA_SET_RDTSCP:
            return "rdtscp";
        case ZYDIS_ISA_SET_RDPID:
            return "rdpid";
        case ZYDIS_ISA_SET_RDWRFSGS:
            return "fsgsbase";
        case ZYDIS_ISA_SET_SMAP:
            return "smap";
        case ZYDIS_ISA_SET_INVPCID:
            return "invpcid";
        case ZYDIS_ISA_SET_SERIALIZE:
            return "serialize";
        case ZYDIS_ISA_SET_MONITOR:
            return "monitor";
        case ZYDIS_ISA_SET_CLFSH:
            return "clflush";
        case ZYDIS_ISA_SET_CLFLUSHOPT:
            return "clflushopt";
        case ZYDIS_ISA_SET_CLWB:
            return "clwb";
        case ZYDIS_ISA_SET_XSAVE:
            return "xsave";
        case ZYDIS_ISA_SET_XSAVEOPT:
            return "xsaveopt";
        case ZYDIS_ISA_SET_XSAVEC:
            return "xsavec";
        case ZYDIS_ISA_SET_XSAVES:
            return "xsaves";
        case ZYDIS_ISA_SET_VTX:
            return kAlways;  // VMCALL; its builder refuses the others
        case ZYDIS_ISA_SET_SVM:
            return kAlways;  // VMMCALL likewise
        default:
            return kNever;
    }
}

// What is never #UD: LZCNT and TZCNT are BSR and BSF without the feature [SDM 2A LZCNT, TZCNT];
// ENDBR and other hints of later processors are NOPs on processors that do not know them.
bool on_all_processors(const Instruction& instruction) {
    switch (instruction.mnemonic()) {
        case ZYDIS_MNEMONIC_LZCNT:
        case ZYDIS_MNEMONIC_TZCNT:  // Zydis knows VEX forms of these, which no such processor has
            return instruction.info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
        case ZYDIS_MNEMONIC_NOP:
        case ZYDIS_MNEMONIC_ENDBR32:
        case ZYDIS_MNEMONIC_ENDBR64:
        case ZYDIS_MNEMONIC_RDSSPD:
        case ZYDIS_MNEMONIC_RDSSPQ:
        case ZYDIS_MNEMONIC_CLDEMOTE:
        case ZYDIS_MNEMONIC_PREFETCH:
        case ZYDIS_MNEMONIC_PREFETCHW:
        case ZYDIS_MNEMONIC_PREFETCHWT1:
            return true;
        default:
            return false;
    }
}

}  // namespace

bool offered(const Instruction& instruction, const CpuidPolicy& policy) {
    if (on_all_processors(instruction)) return true;
    const std::string_view feature = feature_of(instruction.info.meta.isa_set);
    return feature == kAlways || (feature != kNever && policy.has(feature));
}

}  // namespace mynah::interpreter
