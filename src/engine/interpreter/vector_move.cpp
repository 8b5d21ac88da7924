// Plain moves of vector registers: they are frequent and need no stub.

#include <cstring>

#include "engine/interpreter/builder.h"
#include "engine/interpreter/vector.h"

namespace mynah::interpreter {
namespace {

template <unsigned bytes>
struct Carrier;
template <>
struct Carrier<4> {
    using Type = uint32_t;
};
template <>
struct Carrier<8> {
    using Type = uint64_t;
};
template <>
struct Carrier<16> {
    using Type = Bytes16;
};
template <>
struct Carrier<32> {
    using Type = Bytes32;
};

template <Gate gate>
bool allowed(Core& core) {
    return gate == Gate::kVex ? vex_allowed(core) : sse_allowed(core);
}

// Bytes of a destination register that a move of `bytes` bytes sets: the rest becomes zero, up to
// bit 127 by legacy instructions and up to the end by VEX ones.
template <Gate gate, unsigned bytes>
constexpr unsigned kWritten = gate == Gate::kVex ? 32u : bytes > 16 ? bytes : 16u;

template <Gate gate, unsigned bytes>
void write_register(void* to, const typename Carrier<bytes>::Type& value) {
    std::byte whole[kWritten<gate, bytes>] = {};
    std::memcpy(whole, &value, bytes);
    std::memcpy(to, whole, sizeof whole);
}

template <Gate gate, unsigned bytes, bool aligned>
Outcome load_vector(Core& core, const Op& op) {
    if (!allowed<gate>(core)) return Outcome::kFault;
    uint64_t linear = 0;
    if (!core.operand_linear(op, bytes, AccessKind::kRead, linear)) {
        return refuse_address(core, op, aligned ? bytes : 1);
    }
    if (aligned && (linear & (bytes - 1)) != 0) return core.raise(Exception::gp());
    typename Carrier<bytes>::Type value;
    if (!core.load(linear, value)) return Outcome::kFault;
    write_register<gate, bytes>(at_place(core.s, op.dst), value);
    return Outcome::kNext;
}

template <Gate gate, unsigned bytes, bool aligned>
Outcome store_vector(Core& core, const Op& op) {
    if (!allowed<gate>(core)) return Outcome::kFault;
    uint64_t linear = 0;
    if (!core.operand_linear(op, bytes, AccessKind::kWrite, linear)) {
        return refuse_address(core, op, aligned ? bytes : 1);
    }
    if (aligned && (linear & (bytes - 1)) != 0) return core.raise(Exception::gp());
    typename Carrier<bytes>::Type value;
    std::memcpy(&value, at_place(core.s, op.src), bytes);
    return core.store(linear, value) ? Outcome::kNext : Outcome::kFault;
}

// Between two vector registers, or from a general register to a vector register.
template <Gate gate, unsigned bytes>
Outcome copy_vector(Core& core, const Op& op) {
    if (!allowed<gate>(core)) return Outcome::kFault;
    typename Carrier<bytes>::Type value;
    std::memcpy(&value, at_place(core.s, op.src), bytes);
    write_register<gate, bytes>(at_place(core.s, op.dst), value);
    return Outcome::kNext;
}

template <Gate gate, typename T>
Outcome vector_to_gpr(Core& core, const Op& op) {
    if (!allowed<gate>(core)) return Outcome::kFault;
    T value;
    std::memcpy(&value, at_place(core.s, op.src), sizeof value);
    const uint64_t extended = value;
    std::memcpy(at_place(core.s, op.dst), &extended, sizeof extended);
    return Outcome::kNext;
}

enum class MoveKind : uint8_t { kNone, kFull, kFullAligned, kScalar32, kScalar64 };

MoveKind move_kind(const Build& build) {
    switch (build.instruction.mnemonic()) {
        case ZYDIS_MNEMONIC_MOVAPS: case ZYDIS_MNEMONIC_MOVAPD: case ZYDIS_MNEMONIC_MOVDQA:
        case ZYDIS_MNEMONIC_VMOVAPS: case ZYDIS_MNEMONIC_VMOVAPD: case ZYDIS_MNEMONIC_VMOVDQA:
        case ZYDIS_MNEMONIC_MOVNTPS: case ZYDIS_MNEMONIC_MOVNTPD: case ZYDIS_MNEMONIC_MOVNTDQ:
        case ZYDIS_MNEMONIC_VMOVNTPS: case ZYDIS_MNEMONIC_VMOVNTPD: case ZYDIS_MNEMONIC_VMOVNTDQ:
        case ZYDIS_MNEMONIC_MOVNTDQA: case ZYDIS_MNEMONIC_VMOVNTDQA: return MoveKind::kFullAligned;
        case ZYDIS_MNEMONIC_MOVUPS: case ZYDIS_MNEMONIC_MOVUPD: case ZYDIS_MNEMONIC_MOVDQU:
        case ZYDIS_MNEMONIC_VMOVUPS: case ZYDIS_MNEMONIC_VMOVUPD: case ZYDIS_MNEMONIC_VMOVDQU:
        case ZYDIS_MNEMONIC_LDDQU: case ZYDIS_MNEMONIC_VLDDQU: return MoveKind::kFull;
        case ZYDIS_MNEMONIC_MOVD: case ZYDIS_MNEMONIC_VMOVD: return MoveKind::kScalar32;
        case ZYDIS_MNEMONIC_MOVQ: case ZYDIS_MNEMONIC_VMOVQ: return MoveKind::kScalar64;
        case ZYDIS_MNEMONIC_MOVSS: case ZYDIS_MNEMONIC_VMOVSS:  // between registers they merge
            return build.instruction.info.raw.modrm.mod == 3 ? MoveKind::kNone
                                                             : MoveKind::kScalar32;
        case ZYDIS_MNEMONIC_MOVSD: case ZYDIS_MNEMONIC_VMOVSD:
            return build.instruction.info.raw.modrm.mod == 3 ? MoveKind::kNone
                                                             : MoveKind::kScalar64;
        default: return MoveKind::kNone;
    }
}

template <Gate gate, unsigned bytes>
Handler handler_for(bool to_memory, bool from_memory, bool to_gpr, bool aligned) {
    if (to_memory)
        return aligned ? store_vector<gate, bytes, true> : store_vector<gate, bytes, false>;
    if (from_memory)
        return aligned ? load_vector<gate, bytes, true> : load_vector<gate, bytes, false>;
    if constexpr (bytes <= 8) {
        if (to_gpr) return vector_to_gpr<gate, typename Carrier<bytes>::Type>;
    }
    return copy_vector<gate, bytes>;
}

template <Gate gate>
Handler handler_for(unsigned bytes, bool to_memory, bool from_memory, bool to_gpr, bool aligned) {
    switch (bytes) {
        case 4: return handler_for<gate, 4>(to_memory, from_memory, to_gpr, false);
        case 8: return handler_for<gate, 8>(to_memory, from_memory, to_gpr, false);
        case 16: return handler_for<gate, 16>(to_memory, from_memory, to_gpr, aligned);
        default: return handler_for<gate, 32>(to_memory, from_memory, to_gpr, aligned);
    }
}

bool is_memory(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_MEMORY;
}
bool in_class(const ZydisDecodedOperand& operand, ZydisRegisterClass wanted) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
           ZydisRegisterGetClass(operand.reg.value) == wanted;
}

}  // namespace

bool build_vector_move(Build& build) {
    const MoveKind kind = move_kind(build);
    if (kind == MoveKind::kNone || build.instruction.visible_operands() != 2) return false;
    const ZydisDecodedOperand& to = build.operand(0);
    const ZydisDecodedOperand& from = build.operand(1);
    if (in_class(to, ZYDIS_REGCLASS_MMX) || in_class(from, ZYDIS_REGCLASS_MMX)) return false;

    unsigned bytes = 16;
    if (kind == MoveKind::kScalar32) bytes = 4;
    if (kind == MoveKind::kScalar64) bytes = 8;
    if (in_class(to, ZYDIS_REGCLASS_YMM) || in_class(from, ZYDIS_REGCLASS_YMM)) bytes = 32;
    const bool to_gpr = in_class(to, ZYDIS_REGCLASS_GPR32) || in_class(to, ZYDIS_REGCLASS_GPR64);
    const bool vex = build.instruction.info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    const bool aligned = kind == MoveKind::kFullAligned;

    if (!is_memory(to)) build.op.dst = operand_place(to.reg.value);
    if (!is_memory(from)) build.op.src = operand_place(from.reg.value);
    build.op.handler =
        vex ? handler_for<Gate::kVex>(bytes, is_memory(to), is_memory(from), to_gpr, aligned)
            : handler_for<Gate::kSse>(bytes, is_memory(to), is_memory(from), to_gpr, aligned);
    return true;
}

}  // namespace mynah::interpreter
