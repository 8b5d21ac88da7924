// FXSAVE, FXRSTOR, the XSAVE family, XGETBV and XSETBV [SDM 1 10.5, 13].

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bits.h"
#include "engine/interpreter/fpu_state.h"
#include "engine/interpreter/x87_image.h"

namespace mynah::interpreter {

namespace {

constexpr uint64_t kX87 = 1, kSse = 2, kAvx = 4, kCompacted = bit(63);
constexpr unsigned kLegacyBytes = 512, kHeader = 512, kHeaderBytes = 64, kAvxOffset = 576,
                   kAvxBytes = 256;
constexpr unsigned kAreaBytes = kAvxOffset + kAvxBytes;
constexpr uint32_t kInitialMxcsr = 0x1f80;

// XMM or YMM registers that the code's mode can see.
unsigned register_count(const Core& core) { return core.mode.code_size == CodeSize::k64 ? 16 : 8; }
// REX.W, in op.aux.
bool is_wide(const Op& op) { return op.aux != 0; }

struct Area {
    std::array<std::byte, kAreaBytes> bytes;

    template <typename T>
    T get(unsigned offset) const {
        return load_unaligned<T>(bytes.data() + offset);
    }
    template <typename T>
    void put(unsigned offset, T value) {
        store_unaligned(bytes.data() + offset, value);
    }
    std::span<std::byte, kFxsaveX87Bytes> x87() {
        return std::span<std::byte, kFxsaveX87Bytes>(bytes.data(), kFxsaveX87Bytes);
    }
};

void xmm_to_area(const Core& core, Area& area) {
    for (unsigned i = 0; i < register_count(core); ++i) {
        std::memcpy(area.bytes.data() + kFxsaveXmm + 16 * i, core.s.vector[i].bytes.data(), 16);
    }
}
void xmm_from_area(Core& core, const Area& area) {
    for (unsigned i = 0; i < register_count(core); ++i) {
        std::memcpy(core.s.vector[i].bytes.data(), area.bytes.data() + kFxsaveXmm + 16 * i, 16);
    }
}
void put_mxcsr(const Core& core, Area& area) {
    area.put<uint32_t>(kFxsaveMxcsr, core.s.mxcsr);
    area.put<uint32_t>(kFxsaveMxcsr + 4, core.shared.cpuid.valid_mxcsr());
}

// Linear address of an operand of `size` bytes that must be aligned; false after a fault. Silicon
// looks at the alignment after canonical form and before a segment's limits, and for #AC at that of
// doublewords.
bool aligned_operand(Core& core, const Op& op, unsigned size, unsigned alignment, AccessKind kind,
                     uint64_t& linear) {
    linear = core.effective_address(op);
    const bool reachable = core.operand_linear(op, size, kind, linear);
    const bool canonical_first = core.mode.code_size == CodeSize::k64;
    if ((linear & (alignment - 1)) == 0 || (canonical_first && !reachable)) return reachable;
    const bool checked = core.alignment_checked() && (linear & 3) != 0;
    return core.raised(checked ? Exception::ac() : Exception::gp());
}

// --- FXSAVE, FXRSTOR ---------------------------------------------------------------------------

bool x87_not_available(Core& core) {
    if ((core.s.cr0 & (x86::cr0::kEm | x86::cr0::kTs)) == 0) return false;
    core.raised(Exception::nm());
    return true;
}

Outcome fxsave(Core& core, const Op& op) {
    if (x87_not_available(core)) return Outcome::kFault;
    uint64_t linear = 0;
    if (!aligned_operand(core, op, kLegacyBytes, 16, AccessKind::kWrite, linear) ||
        !core.probe_store(linear + kLegacyBytes - 1, 1) ||  // silicon's order
        !core.probe_store(linear, kLegacyBytes)) {
        return Outcome::kFault;
    }
    Area area;
    x87_to_image(core.s.x87, area.x87(), is_wide(op));
    unsigned used = kFxsaveX87Bytes;
    put_mxcsr(core, area);
    if ((core.s.cr4 & x86::cr4::kOsfxsr) != 0) {
        xmm_to_area(core, area);
        used += 16 * register_count(core);
    }
    // What lies behind the registers is not written.
    return core.store_bytes(linear, area.bytes.data(), used) ? Outcome::kNext : Outcome::kFault;
}

Outcome fxrstor(Core& core, const Op& op) {
    if (x87_not_available(core)) return Outcome::kFault;
    uint64_t linear = 0;
    Area area;
    if (!aligned_operand(core, op, kLegacyBytes, 16, AccessKind::kRead, linear) ||
        !core.load_bytes(linear, area.bytes.data(), kLegacyBytes)) {
        return Outcome::kFault;
    }
    const auto mxcsr = area.get<uint32_t>(kFxsaveMxcsr);
    const bool sse = (core.s.cr4 & x86::cr4::kOsfxsr) != 0;
    if (sse && (mxcsr & ~core.shared.cpuid.valid_mxcsr()) != 0) return core.raise(Exception::gp());
    x87_from_image(core.s.x87, area.x87(), is_wide(op));
    if (sse) {
        core.s.mxcsr = mxcsr;
        xmm_from_area(core, area);
    }
    return Outcome::kNext;
}

// --- XSAVE and its kin --------------------------------------------------------------------------

// Bits of components that are not in their initial state [SDM 1 13.6].
uint64_t in_use(const Core& core) {
    const CpuState& s = core.s;
    uint64_t used = 0;
    const X87State& x87 = s.x87;
    const bool registers_zero = std::ranges::all_of(x87.physical, [](const auto& value) {
        return value.significand == 0 && value.sign_exponent == 0;
    });
    if (x87.fcw != 0x37f || x87.fsw != 0 || x87.tags != 0 || x87.fop != 0 || x87.fip != 0 ||
        x87.fdp != 0 || !registers_zero) {
        used |= kX87;
    }
    uint64_t low = 0, high = 0;
    for (unsigned i = 0; i < register_count(core); ++i) {
        const auto words = load_unaligned<std::array<uint64_t, 4>>(s.vector[i].bytes.data());
        low |= words[0] | words[1];
        high |= words[2] | words[3];
    }
    if (low != 0) used |= kSse;
    if (high != 0) used |= kAvx;
    return used;
}

bool xsave_not_available(Core& core) {
    if ((core.s.cr4 & x86::cr4::kOsxsave) == 0) {
        core.raised(Exception::ud());
        return true;
    }
    if ((core.s.cr0 & x86::cr0::kTs) != 0) {
        core.raised(Exception::nm());
        return true;
    }
    return false;
}

// Components that EDX:EAX asks for and XCR0 has enabled.
uint64_t requested(const Core& core) {
    return core.s.xcr0 & ((core.s.gpr[kRdx] << 32) | (core.s.gpr[kRax] & 0xffffffff));
}

// Stores `size` bytes of the area that begin at `offset`, to the same place in memory.
bool store_part(Core& core, uint64_t linear, const Area& area, unsigned offset, unsigned size) {
    return core.store_bytes(linear + offset, area.bytes.data() + offset, size);
}

// Stores `components`, and MXCSR if wanted.
bool store_components(Core& core, const Op& op, uint64_t linear, uint64_t components, bool mxcsr) {
    Area area;
    const unsigned count = register_count(core);
    if ((components & kX87) != 0) {
        x87_to_image(core.s.x87, area.x87(), is_wide(op));
        if (!store_part(core, linear, area, 0, kFxsaveMxcsr) ||
            !store_part(core, linear, area, 32, kFxsaveX87Bytes - 32)) {
            return false;
        }
    }
    if (mxcsr) {
        put_mxcsr(core, area);
        if (!store_part(core, linear, area, kFxsaveMxcsr, 8)) return false;
    }
    if ((components & kSse) != 0) {
        xmm_to_area(core, area);
        if (!store_part(core, linear, area, kFxsaveXmm, 16 * count)) return false;
    }
    if ((components & kAvx) != 0) {
        for (unsigned i = 0; i < count; ++i) {
            std::memcpy(area.bytes.data() + kAvxOffset + 16 * i, core.s.vector[i].bytes.data() + 16,
                        16);
        }
        if (!store_part(core, linear, area, kAvxOffset, 16 * count)) return false;
    }
    return true;
}

// Checks that header, components and, if wanted, MXCSR can be stored; the header's last byte first,
// as silicon does. What lies between them need not be there.
bool probe_components(Core& core, uint64_t linear, uint64_t components, bool mxcsr) {
    const unsigned registers = 16 * register_count(core);
    const bool x87 = (components & kX87) != 0;
    return core.probe_store(linear + kHeader + kHeaderBytes - 1, 1) &&
           core.probe_store(linear + kHeader, kHeaderBytes) &&
           (!x87 || core.probe_store(linear, kFxsaveX87Bytes)) &&
           (!mxcsr || core.probe_store(linear + kFxsaveMxcsr, 8)) &&
           ((components & kSse) == 0 || core.probe_store(linear + kFxsaveXmm, registers)) &&
           ((components & kAvx) == 0 || core.probe_store(linear + kAvxOffset, registers));
}

constexpr unsigned kSmallestArea = kHeader + kHeaderBytes;

template <bool optimised>
Outcome xsave(Core& core, const Op& op) {
    if (xsave_not_available(core)) return Outcome::kFault;
    const uint64_t wanted = requested(core);
    const uint64_t used = in_use(core);
    const uint64_t stored = optimised ? wanted & used : wanted;
    const bool mxcsr = (wanted & (kSse | kAvx)) != 0;
    uint64_t linear = 0;
    uint64_t present = 0;
    if (!aligned_operand(core, op, kSmallestArea, 64, AccessKind::kWrite, linear) ||
        !probe_components(core, linear, stored, mxcsr) || !core.load(linear + kHeader, present)) {
        return Outcome::kFault;
    }
    const uint64_t after = (present & ~wanted) | (wanted & used);
    if (!store_components(core, op, linear, stored, mxcsr) ||
        !core.store(linear + kHeader, after)) {
        return Outcome::kFault;
    }
    return Outcome::kNext;
}

// XSAVEC, and XSAVES as long as there are no supervisor components.
template <bool supervisor>
Outcome xsavec(Core& core, const Op& op) {
    if (xsave_not_available(core)) return Outcome::kFault;
    if (supervisor && core.s.cpl() != 0) return core.raise(Exception::gp());
    const uint64_t wanted = requested(core);
    uint64_t used = in_use(core);
    if (core.s.mxcsr != kInitialMxcsr) used |= kSse;  // MXCSR belongs to the SSE component here
    const uint64_t stored = wanted & used;
    uint64_t linear = 0;
    if (!aligned_operand(core, op, kSmallestArea, 64, AccessKind::kWrite, linear) ||
        !probe_components(core, linear, stored, (stored & kSse) != 0)) {
        return Outcome::kFault;
    }
    if (!store_components(core, op, linear, stored, (stored & kSse) != 0) ||
        !core.store(linear + kHeader, stored) ||
        !core.store(linear + kHeader + 8, wanted | kCompacted)) {
        return Outcome::kFault;
    }
    return Outcome::kNext;
}

// The header's rules [SDM 1 13.8.1, 13.8.2].
bool header_valid(const Core& core, const Area& area, bool compacted_only) {
    const auto components = area.get<uint64_t>(kHeader);
    const auto layout = area.get<uint64_t>(kHeader + 8);
    const auto zero = [&](unsigned from) {
        return std::all_of(area.bytes.begin() + kHeader + from,
                           area.bytes.begin() + kHeader + kHeaderBytes,
                           [](std::byte b) { return b == std::byte{0}; });
    };
    if ((layout & kCompacted) == 0) {
        if (compacted_only || layout != 0 || area.get<uint64_t>(kHeader + 16) != 0) return false;
        return (components & ~core.s.xcr0) == 0;
    }
    return (layout & ~kCompacted & ~core.s.xcr0) == 0 && (components & ~layout) == 0 && zero(16);
}

void restore_x87(Core& core, Area& area, bool load, bool wide) {
    X87State& x87 = core.s.x87;
    if (load) {
        x87_from_image(x87, area.x87(), wide);
    } else {
        initialise_x87(x87);
        x87.physical = {};
    }
}
void restore_sse(Core& core, const Area& area, bool load) {
    if (load) {
        xmm_from_area(core, area);
        return;
    }
    for (unsigned i = 0; i < register_count(core); ++i)
        std::memset(core.s.vector[i].bytes.data(), 0, 16);
}
void restore_avx(Core& core, const Area& area, bool load) {
    for (unsigned i = 0; i < register_count(core); ++i) {
        std::byte* high = core.s.vector[i].bytes.data() + 16;
        if (load) {
            std::memcpy(high, area.bytes.data() + kAvxOffset + 16 * i, 16);
        } else {
            std::memset(high, 0, 16);
        }
    }
}

template <bool supervisor>
Outcome xrstor(Core& core, const Op& op) {
    if (xsave_not_available(core)) return Outcome::kFault;
    if (supervisor && core.s.cpl() != 0) return core.raise(Exception::gp());
    const uint64_t wanted = requested(core);
    uint64_t linear = 0;
    Area area;
    constexpr unsigned kFirst = kHeader + kHeaderBytes;
    if (!aligned_operand(core, op, kFirst, 64, AccessKind::kRead, linear) ||
        !core.load_bytes(linear + kHeader, area.bytes.data() + kHeader, kHeaderBytes)) {
        return Outcome::kFault;
    }
    if (!header_valid(core, area, supervisor)) return core.raise(Exception::gp());
    if (!core.load_bytes(linear, area.bytes.data(), kLegacyBytes)) return Outcome::kFault;
    const bool compacted = (area.get<uint64_t>(kHeader + 8) & kCompacted) != 0;
    const uint64_t loaded = wanted & area.get<uint64_t>(kHeader);
    const bool load_mxcsr = compacted ? (loaded & kSse) != 0 : (wanted & (kSse | kAvx)) != 0;
    const auto mxcsr = area.get<uint32_t>(kFxsaveMxcsr);
    if (load_mxcsr && (mxcsr & ~core.shared.cpuid.valid_mxcsr()) != 0)
        return core.raise(Exception::gp());
    if ((loaded & kAvx) != 0 &&
        !core.load_bytes(linear + kAvxOffset, area.bytes.data() + kAvxOffset,
                         16 * register_count(core))) {
        return Outcome::kFault;
    }
    if ((wanted & kX87) != 0) restore_x87(core, area, (loaded & kX87) != 0, is_wide(op));
    if ((wanted & kSse) != 0) restore_sse(core, area, (loaded & kSse) != 0);
    if ((wanted & kAvx) != 0) restore_avx(core, area, (loaded & kAvx) != 0);
    if (load_mxcsr) {
        core.s.mxcsr = mxcsr;
    } else if (compacted && (wanted & kSse) != 0) {
        core.s.mxcsr = kInitialMxcsr;
    }
    return Outcome::kNext;
}

Outcome xgetbv(Core& core, const Op&) {
    if ((core.s.cr4 & x86::cr4::kOsxsave) == 0) return core.raise(Exception::ud());
    const auto index = static_cast<uint32_t>(core.s.gpr[kRcx]);
    uint64_t value = core.s.xcr0;
    if (index == 1 && core.shared.cpuid.has("xgetbv1")) {
        value &= in_use(core);
    } else if (index != 0) {
        return core.raise(Exception::gp());
    }
    core.s.gpr[kRax] = value & 0xffffffff;
    core.s.gpr[kRdx] = value >> 32;
    return Outcome::kNext;
}

Outcome xsetbv(Core& core, const Op& op) {
    if ((core.s.cr4 & x86::cr4::kOsxsave) == 0) return core.raise(Exception::ud());
    const uint64_t value = (core.s.gpr[kRdx] << 32) | (core.s.gpr[kRax] & 0xffffffff);
    const bool index_known = static_cast<uint32_t>(core.s.gpr[kRcx]) == 0;
    const bool consistent = (value & kX87) != 0 && ((value & kAvx) == 0 || (value & kSse) != 0);
    if (core.s.cpl() != 0 || !index_known || !consistent ||
        (value & ~core.shared.cpuid.valid_xcr0()) != 0) {
        return core.raise(Exception::gp());
    }
    core.s.xcr0 = value;
    return core.leave_after(op);
}

template <Handler handler, bool ends_block = false>
bool build_as(Build& build) {
    const ZydisDecodedInstruction& info = build.instruction.info;
    build.op.handler = handler;
    build.op.aux = build.mode.code_size == CodeSize::k64 && info.raw.rex.W != 0;
    build.ends_block = ends_block;
    return true;
}

}  // namespace

void add_extended_state(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_FXSAVE] = table[ZYDIS_MNEMONIC_FXSAVE64] = build_as<fxsave>;
    table[ZYDIS_MNEMONIC_FXRSTOR] = table[ZYDIS_MNEMONIC_FXRSTOR64] = build_as<fxrstor>;
    table[ZYDIS_MNEMONIC_XSAVE] = table[ZYDIS_MNEMONIC_XSAVE64] = build_as<xsave<false>>;
    table[ZYDIS_MNEMONIC_XSAVEOPT] = table[ZYDIS_MNEMONIC_XSAVEOPT64] = build_as<xsave<true>>;
    table[ZYDIS_MNEMONIC_XSAVEC] = table[ZYDIS_MNEMONIC_XSAVEC64] = build_as<xsavec<false>>;
    table[ZYDIS_MNEMONIC_XSAVES] = table[ZYDIS_MNEMONIC_XSAVES64] = build_as<xsavec<true>>;
    table[ZYDIS_MNEMONIC_XRSTOR] = table[ZYDIS_MNEMONIC_XRSTOR64] = build_as<xrstor<false>>;
    table[ZYDIS_MNEMONIC_XRSTORS] = table[ZYDIS_MNEMONIC_XRSTORS64] = build_as<xrstor<true>>;
    table[ZYDIS_MNEMONIC_XGETBV] = build_as<xgetbv>;
    table[ZYDIS_MNEMONIC_XSETBV] = build_as<xsetbv, true>;
}

}  // namespace mynah::interpreter
