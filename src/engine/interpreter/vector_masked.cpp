#include "engine/interpreter/vector_masked.h"

#include <array>
#include <cstring>

#include "engine/interpreter/core.h"
#include "engine/interpreter/vector.h"

namespace mynah::interpreter {
namespace {

template <typename T>
T element(const void* vector, unsigned index) {
    T value;
    std::memcpy(&value, static_cast<const std::byte*>(vector) + index * sizeof(T), sizeof(T));
    return value;
}
template <typename T>
void set_element(void* vector, unsigned index, T value) {
    std::memcpy(static_cast<std::byte*>(vector) + index * sizeof(T), &value, sizeof(T));
}
template <typename T>
bool selected(const void* mask, unsigned index) {
    return (element<T>(mask, index) >> (sizeof(T) * 8 - 1)) != 0;
}

// Linear address of the element `distance` bytes behind the op's memory operand.
bool element_linear(Core& core, const Op& op, uint64_t offset, unsigned size, AccessKind kind,
                    uint64_t& linear) {
    if (op.address_bits != 64) offset &= low_mask(op.address_bits);
    return core.segment_linear(op.segment, offset, size, kind, linear);
}

// --- MASKMOVQ, MASKMOVDQU: bytes selected by the top bits of the second operand ---------------

// Whether a byte is selected or not, it must be writable [SDM 2A MASKMOVDQU leaves that to the
// implementation; silicon checks the upper half first].
template <unsigned bytes>
Outcome store_selected_bytes(Core& core, const Op& op) {
    const void* data = at_place(core.s, op.dst);
    const void* mask = at_place(core.s, op.src);
    uint64_t linear = 0;
    if (!core.operand_linear(op, bytes, AccessKind::kWrite, linear)) return Outcome::kFault;
    for (unsigned half = bytes; half > 0; half -= 8) {
        if (!core.probe_store(linear + half - 8, 8)) return Outcome::kFault;
    }
    for (unsigned i = 0; i < bytes; ++i) {
        if (selected<uint8_t>(mask, i) && !core.store(linear + i, element<uint8_t>(data, i))) {
            return Outcome::kFault;
        }
    }
    return Outcome::kNext;
}

Outcome maskmovdqu(Core& core, const Op& op) {
    return sse_allowed(core) ? store_selected_bytes<16>(core, op) : Outcome::kFault;
}
Outcome vmaskmovdqu(Core& core, const Op& op) {
    return vex_allowed(core) ? store_selected_bytes<16>(core, op) : Outcome::kFault;
}
Outcome maskmovq(Core& core, const Op& op) {
    if (!mmx_allowed(core)) return Outcome::kFault;
    begin_mmx(core.s.x87);
    core.s.x87.tags = kAllValid;
    return store_selected_bytes<8>(core, op);
}

bool build_maskmov(Build& build) {
    Op& op = build.op;
    const ZydisDecodedOperand& data = build.operand(0);
    op.dst = operand_place(data.reg.value);
    op.src = operand_place(build.operand(1).reg.value);
    // The memory operand is implicit: DS:rDI, where the segment can be overridden.
    for (unsigned i = 2; i < build.instruction.info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = build.operand(i);
        if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
        op.base = kRdi;
        op.index = CpuState::kZeroSlot;
        op.disp = 0;
        op.scale_shift = 0;
        op.address_bits = build.instruction.info.address_width;
        op.segment = static_cast<x86::Segment>(ZydisRegisterGetId(operand.mem.segment));
    }
    const bool vex = build.instruction.info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    if (ZydisRegisterGetClass(data.reg.value) == ZYDIS_REGCLASS_MMX) {
        op.handler = maskmovq;
    } else {
        op.handler = !vex ? maskmovdqu : build.mode.protected_mode ? vmaskmovdqu : raise_undefined;
    }
    return true;
}

// --- VMASKMOVPS/PD, VPMASKMOVD/Q [SDM 2C] -------------------------------------------------------
// dst is ModRM.reg, aux the mask (VEX.vvvv). Elements that are not selected cannot fault.

template <typename T, unsigned bytes>
Outcome masked_load(Core& core, const Op& op) {
    if (!vex_allowed(core)) return Outcome::kFault;
    const Core::AnyAlignment any(core);
    const void* mask = at_place(core.s, op.aux);
    const uint64_t offset = core.effective_address(op);
    VectorRegister result{};
    for (unsigned i = 0; i < bytes / sizeof(T); ++i) {
        if (!selected<T>(mask, i)) continue;
        uint64_t linear = 0;
        T value = 0;
        if (!element_linear(core, op, offset + i * sizeof(T), sizeof(T), AccessKind::kRead,
                            linear) ||
            !core.load(linear, value)) {
            return Outcome::kFault;
        }
        set_element(&result, i, value);
    }
    std::memcpy(at_place(core.s, op.dst), &result, sizeof result);
    return Outcome::kNext;
}

template <typename T, unsigned bytes>
Outcome masked_store(Core& core, const Op& op) {
    if (!vex_allowed(core)) return Outcome::kFault;
    const Core::AnyAlignment any(core);
    constexpr unsigned kCount = bytes / sizeof(T);
    const void* mask = at_place(core.s, op.aux);
    const void* data = at_place(core.s, op.dst);
    const uint64_t offset = core.effective_address(op);
    std::array<uint64_t, kCount> linear{};
    for (unsigned i = 0; i < kCount; ++i) {
        if (!selected<T>(mask, i)) continue;
        if (!element_linear(core, op, offset + i * sizeof(T), sizeof(T), AccessKind::kWrite,
                            linear[i]) ||
            !core.probe_store(linear[i], sizeof(T))) {
            return Outcome::kFault;
        }
    }
    for (unsigned i = 0; i < kCount; ++i) {
        if (selected<T>(mask, i) && !core.store(linear[i], element<T>(data, i)))
            return Outcome::kFault;
    }
    return Outcome::kNext;
}

template <typename T>
Handler masked_handler(bool store, bool wide) {
    if (store) return wide ? masked_store<T, 32> : masked_store<T, 16>;
    return wide ? masked_load<T, 32> : masked_load<T, 16>;
}

bool build_vmaskmov(Build& build) {
    Op& op = build.op;
    const bool store = build.operand(0).type == ZYDIS_OPERAND_TYPE_MEMORY;
    const ZydisRegister data = build.operand(store ? 2 : 0).reg.value;
    op.dst = operand_place(data);
    op.aux = operand_place(build.operand(1).reg.value);
    const bool wide = ZydisRegisterGetClass(data) == ZYDIS_REGCLASS_YMM;
    const ZydisMnemonic name = build.instruction.mnemonic();
    const bool quads = name == ZYDIS_MNEMONIC_VMASKMOVPD || name == ZYDIS_MNEMONIC_VPMASKMOVQ;
    op.handler = !build.mode.protected_mode ? raise_undefined
                 : quads                    ? masked_handler<uint64_t>(store, wide)
                                            : masked_handler<uint32_t>(store, wide);
    return true;
}

// --- Gathers [SDM 2C VGATHERDPS] --------------------------------------------------------------
// Elements are loaded in order; a fault leaves those before it loaded, with their mask cleared, so
// that the instruction goes on where it was. imm holds the place of the index register.

template <typename T, typename Index, bool wide>
Outcome gather(Core& core, const Op& op) {
    if (!vex_allowed(core)) return Outcome::kFault;
    const Core::AnyAlignment any(core);
    auto* destination = at_place(core.s, op.dst);
    auto* mask = at_place(core.s, op.aux);
    const void* indices = at_place(core.s, static_cast<unsigned>(op.imm));
    constexpr unsigned kVector = wide ? 32 : 16;
    // As many elements as fit of the wider of data and indices.
    constexpr unsigned kCount = kVector / (sizeof(T) > sizeof(Index) ? sizeof(T) : sizeof(Index));
    const uint64_t base =
        core.s.gpr[op.base] + static_cast<uint64_t>(static_cast<int64_t>(op.disp));
    // A fault shows in what order silicon does the rest: the mask is spread over its elements and
    // its upper half cleared before the first one, the destination's upper half after it.
    for (unsigned i = 0; i < kVector / sizeof(T); ++i) {
        set_element<T>(mask, i, selected<T>(mask, i) ? ~T{0} : T{0});
    }
    if (!wide) std::memset(static_cast<std::byte*>(mask) + 16, 0, 16);
    bool started = false;
    for (unsigned i = 0; i < kCount; ++i) {
        if (!selected<T>(mask, i)) continue;
        const auto index = static_cast<uint64_t>(static_cast<int64_t>(element<Index>(indices, i)));
        uint64_t linear = 0;
        T value = 0;
        if (!element_linear(core, op, base + (index << op.scale_shift), sizeof(T),
                            AccessKind::kRead, linear) ||
            !core.load(linear, value)) {
            return Outcome::kFault;
        }
        if (!wide && !started) std::memset(static_cast<std::byte*>(destination) + 16, 0, 16);
        started = true;
        set_element(destination, i, value);
        set_element(mask, i, T{0});
    }
    constexpr unsigned kUsed = kCount * sizeof(T);
    std::memset(static_cast<std::byte*>(destination) + kUsed, 0, sizeof(VectorRegister) - kUsed);
    std::memset(mask, 0, sizeof(VectorRegister));
    return Outcome::kNext;
}

template <typename T, typename Index>
Handler gather_handler(bool wide) {
    return wide ? gather<T, Index, true> : gather<T, Index, false>;
}

Handler gather_handler(ZydisMnemonic name, bool wide) {
    switch (name) {
        case ZYDIS_MNEMONIC_VGATHERDPS:
        case ZYDIS_MNEMONIC_VPGATHERDD: return gather_handler<uint32_t, int32_t>(wide);
        case ZYDIS_MNEMONIC_VGATHERDPD:
        case ZYDIS_MNEMONIC_VPGATHERDQ: return gather_handler<uint64_t, int32_t>(wide);
        case ZYDIS_MNEMONIC_VGATHERQPS:
        case ZYDIS_MNEMONIC_VPGATHERQD: return gather_handler<uint32_t, int64_t>(wide);
        default: return gather_handler<uint64_t, int64_t>(wide);
    }
}

bool build_gather(Build& build) {
    Op& op = build.op;
    const ZydisDecodedInstruction& info = build.instruction.info;
    const ZydisDecodedOperandMem& memory = build.operand(1).mem;
    op.dst = operand_place(build.operand(0).reg.value);
    op.imm = operand_place(memory.index);
    op.aux = operand_place(build.operand(2).reg.value);
    op.index = CpuState::kZeroSlot;  // what the common code made of the index is meaningless
    op.base = memory.base == ZYDIS_REGISTER_NONE
                  ? static_cast<uint8_t>(CpuState::kZeroSlot)
                  : static_cast<uint8_t>(ZydisRegisterGetId(memory.base));
    op.disp = static_cast<int32_t>(memory.disp.value);
    op.scale_shift = info.raw.sib.scale;
    // Destination, mask and index must be three registers.
    const bool distinct = op.dst != op.imm && op.dst != op.aux && op.aux != op.imm;
    op.handler = distinct && build.mode.protected_mode
                     ? gather_handler(info.mnemonic, info.raw.vex.L != 0)
                     : raise_undefined;
    return true;
}

}  // namespace

void add_masked_vector(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_MASKMOVQ] = build_maskmov;
    table[ZYDIS_MNEMONIC_MASKMOVDQU] = build_maskmov;
    table[ZYDIS_MNEMONIC_VMASKMOVDQU] = build_maskmov;
    for (const ZydisMnemonic name : {ZYDIS_MNEMONIC_VMASKMOVPS, ZYDIS_MNEMONIC_VMASKMOVPD,
                                     ZYDIS_MNEMONIC_VPMASKMOVD, ZYDIS_MNEMONIC_VPMASKMOVQ}) {
        table[name] = build_vmaskmov;
    }
    for (const ZydisMnemonic name : {ZYDIS_MNEMONIC_VGATHERDPS, ZYDIS_MNEMONIC_VGATHERDPD,
                                     ZYDIS_MNEMONIC_VGATHERQPS, ZYDIS_MNEMONIC_VGATHERQPD,
                                     ZYDIS_MNEMONIC_VPGATHERDD, ZYDIS_MNEMONIC_VPGATHERDQ,
                                     ZYDIS_MNEMONIC_VPGATHERQD, ZYDIS_MNEMONIC_VPGATHERQQ}) {
        table[name] = build_gather;
    }
}

}  // namespace mynah::interpreter
