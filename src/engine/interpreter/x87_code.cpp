#include "engine/interpreter/x87_code.h"

#include <cstddef>

#include "cpu/cpu_state.h"

namespace mynah::interpreter {
namespace {

constexpr uint32_t kFlagsOffset = offsetof(CpuState, flags) + offsetof(Flags, arithmetic);
constexpr uint16_t kC0 = 0x100, kC1 = 0x200, kC2 = 0x400, kC3 = 0x4000;
constexpr uint16_t kAllConditions = kC0 | kC1 | kC2 | kC3;

// ModRM of a memory operand at [rsi].
uint8_t at_rsi(unsigned reg) { return static_cast<uint8_t>(reg << 3 | 6); }

void load_flags(CodeBuffer& out) {
    out.bytes(0x66, 0x41, 0x8b, 0x80);  // mov ax, [r8 + ...]
    out.dword(kFlagsOffset);
    out.bytes(0x04, 0x7f, 0x9e);  // add al, 127 (OF); sahf
}
void store_flags(CodeBuffer& out) {
    out.bytes(0x9f, 0x0f, 0x90, 0xc0);  // lahf; seto al
    out.bytes(0x66, 0x41, 0x89, 0x80);  // mov [r8 + ...], ax
    out.dword(kFlagsOffset);
}

X87Short classify_memory(const X87Code& i) {
    if ((i.opcode & 1) == 0) {  // D8, DA, DC, DE
        const bool compare = i.reg() == 2 || i.reg() == 3;
        if (!compare) return {.kind = X87Kind::kMemory};
        return {.kind = X87Kind::kCompareMemory, .pops = i.reg() == 3 ? uint8_t{1} : uint8_t{0},
                .conditions = kAllConditions};
    }
    constexpr X87Short kNothing{}, kLoads{.kind = X87Kind::kLoad}, kStores{.kind = X87Kind::kStore},
        kStoresAndPops{.kind = X87Kind::kStore, .pops = 1};
    // By ModRM.reg.
    static constexpr X87Short kD9[8] = {kLoads, kNothing, kStores, kStoresAndPops};
    static constexpr X87Short kDb[8] = {kLoads,   kStoresAndPops, kStores,  kStoresAndPops,
                                        kNothing, kLoads,         kNothing, kStoresAndPops};
    static constexpr X87Short kDd[8] = {kLoads, kStoresAndPops, kStores, kStoresAndPops};
    static constexpr X87Short kDf[8] = {kLoads,   kStoresAndPops, kStores,  kStoresAndPops,
                                        kNothing, kLoads,         kNothing, kStoresAndPops};
    switch (i.opcode) {
        case 0xd9: return kD9[i.reg()];
        case 0xdb: return kDb[i.reg()];
        case 0xdd: return kDd[i.reg()];
        default: return kDf[i.reg()];
    }
}

X87Short classify_d9(const X87Code& i) {
    switch (i.modrm) {
        case 0xe0:  // FCHS
        case 0xe1:  // FABS
        case 0xf0:  // F2XM1
        case 0xfa:  // FSQRT
        case 0xfc: return {.kind = X87Kind::kUnary};  // FRNDINT
        case 0xe4:                                     // FTST
        case 0xe5: return {.kind = X87Kind::kUnary, .conditions = kAllConditions};  // FXAM
        case 0xfe:                                                                  // FSIN
        case 0xff: return {.kind = X87Kind::kUnary, .conditions = kC1 | kC2};       // FCOS
        case 0xe8: case 0xe9: case 0xea: case 0xeb: case 0xec: case 0xed: case 0xee:
            return {.kind = X87Kind::kConstant};
        default: return {};
    }
}

X87Short classify_registers(const X87Code& i) {
    constexpr X87Short kNothing{};
    const auto compare = [](uint8_t pops, uint16_t conditions) {
        return X87Short{.kind = X87Kind::kCompare, .pops = pops, .conditions = conditions};
    };
    const uint8_t group = i.modrm & 0xf8;
    switch (i.opcode) {
        case 0xd8:
            if (group == 0xd0 || group == 0xd8) return compare(group == 0xd8, kAllConditions);
            return {.kind = X87Kind::kToTop};
        case 0xd9: return classify_d9(i);
        case 0xda: return i.modrm == 0xe9 ? compare(2, kAllConditions) : kNothing;  // FUCOMPP
        case 0xdb:
            return group == 0xe8 || group == 0xf0 ? compare(0, 0) : kNothing;  // FUCOMI, FCOMI
        case 0xdc:
            return group == 0xd0 || group == 0xd8 ? kNothing : X87Short{.kind = X87Kind::kToOther};
        case 0xdd:
            return group == 0xe0 || group == 0xe8 ? compare(group == 0xe8, kAllConditions)
                                                  : kNothing;
        case 0xde:
            if (i.modrm == 0xd9) return compare(2, kAllConditions);  // FCOMPP
            return group == 0xd0 || group == 0xd8 ? kNothing
                                                  : X87Short{.kind = X87Kind::kToOther, .pops = 1};
        default:
            return group == 0xe8 || group == 0xf0 ? compare(1, 0) : kNothing;  // FUCOMIP, FCOMIP
    }
}

// The instruction on ST(0) and ST(1), without the pops that the caller does to the guest's stack.
void emit_on_two(const X87Code& i, X87Kind kind, CodeBuffer& out) {
    const uint8_t group = i.modrm & 0xf8;
    if (kind == X87Kind::kToTop) {
        out.bytes(0xd8, group | 1);
    } else if (kind == X87Kind::kToOther) {
        out.bytes(0xdc, group | 1);
    } else if (i.opcode == 0xd8 || i.modrm == 0xd9) {
        out.bytes(0xd8, 0xd1);  // FCOM
    } else if (i.opcode == 0xdb || i.opcode == 0xdf) {
        out.bytes(0xdb, group | 1);  // FCOMI, FUCOMI
    } else {
        out.bytes(0xdd, 0xe1);  // FUCOM
    }
}

// A store that pops, for one that may not.
void emit_popping_store(const X87Code& i, CodeBuffer& out) {
    out.bytes(i.opcode, at_rsi(i.reg() == 2 ? 3 : i.reg()));
}

}  // namespace

X87Short classify_x87(const X87Code& instruction) {
    return instruction.memory ? classify_memory(instruction) : classify_registers(instruction);
}

void emit_x87_short_stub(const X87Code& i, X87Kind kind, CodeBuffer& out) {
    const auto load_other = [&] { out.bytes(0xdb, 0x2e); };   // fld tbyte [rsi]
    const auto load_top = [&] { out.bytes(0xdb, 0x2f); };     // fld tbyte [rdi]
    const auto status = [&] { out.bytes(0xdf, 0xe0); };       // fnstsw ax
    const auto store_other = [&] { out.bytes(0xdb, 0x3e); };  // fstp tbyte [rsi]
    const auto store_top = [&] { out.bytes(0xdb, 0x3f); };    // fstp tbyte [rdi]
    const auto drop = [&] { out.bytes(0xdd, 0xd8); };         // fstp st(0)
    switch (kind) {
        case X87Kind::kNone: break;
        case X87Kind::kConstant:
            out.bytes(i.opcode, i.modrm), status(), store_top();
            break;
        case X87Kind::kLoad:
            out.bytes(i.opcode, at_rsi(i.reg())), status(), store_top();
            break;
        case X87Kind::kStore:
            load_top(), emit_popping_store(i, out), status();
            break;
        case X87Kind::kUnary:
            load_top(), out.bytes(i.opcode, i.modrm), status(), store_top();
            break;
        case X87Kind::kMemory:
            load_top(), out.bytes(i.opcode, at_rsi(i.reg())), status(), store_top();
            break;
        case X87Kind::kCompareMemory:
            load_top(), out.bytes(i.opcode, at_rsi(2)), status(), drop();
            break;
        case X87Kind::kToTop:
            load_other(), load_top(), emit_on_two(i, kind, out), status(), store_top(), drop();
            break;
        case X87Kind::kToOther:
            load_other(), load_top(), emit_on_two(i, kind, out), status(), drop(), store_other();
            break;
        case X87Kind::kCompare:
            if (i.flags_out) load_flags(out);
            load_other(), load_top(), emit_on_two(i, kind, out);
            if (i.flags_out) store_flags(out);
            status(), drop(), drop();
            break;
    }
    out.byte(0xc3);  // ret
}

void emit_x87_stub(const X87Code& instruction, CodeBuffer& out, unsigned& instruction_offset) {
    out.bytes(0x48, 0x0f, 0xae, 0x0f);  // fxrstor64 [rdi]
    if (instruction.flags_in) load_flags(out);
    instruction_offset = static_cast<unsigned>(out.code().size());
    out.bytes(instruction.opcode,
              instruction.memory ? at_rsi(instruction.reg()) : instruction.modrm);
    if (instruction.flags_out) store_flags(out);
    out.bytes(0x48, 0x0f, 0xae, 0x07);  // fxsave64 [rdi]
    // The ABI wants the x87 stack empty. EMMS is the quicker way but would raise the exception that
    // may be pending now.
    out.bytes(0xf6, 0x47, 0x02, 0x80);        // test byte [rdi + 2], 80h: FSW.ES
    out.bytes(0x75, 0x05);                    // jnz
    out.bytes(0x0f, 0x77, 0x31, 0xc0, 0xc3);  // emms; xor eax, eax; ret
    out.bytes(0xdb, 0xe3, 0x31, 0xc0, 0xc3);  // fninit; xor eax, eax; ret
}

}  // namespace mynah::interpreter
