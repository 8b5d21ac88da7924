#include "engine/interpreter/vector.h"

#include <xmmintrin.h>

#include "engine/interpreter/host_vector.h"
#include "engine/interpreter/vector_handlers.h"

namespace mynah::interpreter {
namespace {

// MXCSR with every exception masked, rounding to nearest, denormals kept: what our own code
// expects.
constexpr uint32_t kHostMxcsr = 0x1f80, kMxcsrFlags = 0x3f;

// Lends the host's MXCSR to the guest for one instruction. Loading it is slow, so it is left
// in place afterwards where it differs from the host's own only in sticky flags, which nobody
// here looks at.
class GuestMxcsr {
 public:
    explicit GuestMxcsr(CpuState& state) : state_(state) {
        if (_mm_getcsr() != state.mxcsr) _mm_setcsr(state.mxcsr);
    }
    ~GuestMxcsr() {
        state_.mxcsr = _mm_getcsr();
        if ((state_.mxcsr & ~kMxcsrFlags) != kHostMxcsr) _mm_setcsr(kHostMxcsr);
    }
    GuestMxcsr(const GuestMxcsr&) = delete;
    GuestMxcsr& operator=(const GuestMxcsr&) = delete;

 private:
    CpuState& state_;
};

bool allowed(Core& core, Gate gate, const VectorForm& form) {
    switch (gate) {
        case Gate::kSse: return sse_allowed(core);
        case Gate::kVex: return vex_allowed(core);
        case Gate::kMmx: return (!form.sse_gate || sse_allowed(core)) && mmx_allowed(core);
    }
    return false;
}

// Loads the memory operand into `staged`.
template <unsigned bytes>
bool load_operand(Core& core, uint64_t linear, unsigned any_size, void* staged) {
    if constexpr (bytes == 4) {
        return core.load(linear, *static_cast<uint32_t*>(staged));
    } else if constexpr (bytes == 8) {
        return core.load(linear, *static_cast<uint64_t*>(staged));
    } else if constexpr (bytes == 16) {
        return core.load(linear, *static_cast<Bytes16*>(staged));
    } else if constexpr (bytes == 32) {
        return core.load(linear, *static_cast<Bytes32*>(staged));
    } else {
        return core.load_bytes(linear, staged, any_size);
    }
}

// The stub of an MMX instruction; begin_mmx has been called. The exponent of a written register,
// which lies behind the significand, becomes all ones [SDM 1 9.2.1].
uint64_t run_mmx(Core& core, const VectorForm& form, void* reg, void* rm, void* vvvv, void* is4) {
    const uint64_t fault = form.stub(reg, rm, vvvv, is4, &core.s);
    if (fault == 0 && form.mmx_written != 0) {
        auto* written = static_cast<X87State::Register*>(form.mmx_written == 1 ? reg : rm);
        written->sign_exponent = 0xffff;
    }
    return fault;
}

// The linear address of the memory operand, aligned as it must be.
bool vector_operand(Core& core, const Op& op, const VectorForm& form, AccessKind kind,
                    uint64_t& linear) {
    if (!core.operand_linear(op, form.memory_bytes, kind, linear)) {
        refuse_address(core, op, form.alignment);
        return false;
    }
    return (linear & (form.alignment - 1u)) == 0 || core.raised(Exception::gp());
}

// The general handler: checks, stages the memory operand, runs the stub, stores. op.imm is the
// form; dst, src and the halves of aux are the places of the registers in ModRM.reg, ModRM.rm,
// VEX.vvvv and imm8[7:4].
template <Gate gate, MemoryUse use, unsigned bytes, bool floating>
Outcome run_vector(Core& core, const Op& op) {
    const auto& form = *reinterpret_cast<const VectorForm*>(op.imm);
    if (!allowed(core, gate, form)) return Outcome::kFault;
    CpuState& s = core.s;
    alignas(64) std::byte staged[64];
    void* rm = use == MemoryUse::kNone ? at_place(s, op.src) : staged;
    if constexpr (use == MemoryUse::kLoad) {
        uint64_t linear = 0;
        if (!vector_operand(core, op, form, AccessKind::kRead, linear) ||
            !load_operand<bytes>(core, linear, form.memory_bytes, staged)) {
            return Outcome::kFault;
        }
    }
    // On silicon too this happens before the result is known to be good, or can be stored.
    if constexpr (gate == Gate::kMmx) begin_mmx(s.x87);
    void* reg = at_place(s, op.dst);
    void* vvvv = at_place(s, op.aux & 0xff);
    void* is4 = at_place(s, op.aux >> 8);
    uint64_t fault = 0;
    if constexpr (floating) {
        const GuestMxcsr lend(s);
        fault = gate == Gate::kMmx ? run_mmx(core, form, reg, rm, vvvv, is4)
                                   : form.stub(reg, rm, vvvv, is4, &s);
    } else {
        fault = gate == Gate::kMmx ? run_mmx(core, form, reg, rm, vvvv, is4)
                                   : form.stub(reg, rm, vvvv, is4, &s);
    }
    if constexpr (gate == Gate::kMmx && use != MemoryUse::kStore) s.x87.tags = kAllValid;
    if (fault != 0) [[unlikely]] {
        // [SDM 3A 2.5] CR4.OSXMMEXCPT
        return core.raise((s.cr4 & x86::cr4::kOsxmmexcpt) != 0 ? Exception::xm() : Exception::ud());
    }
    if constexpr (use == MemoryUse::kStore) {
        uint64_t linear = 0;
        if (!vector_operand(core, op, form, AccessKind::kWrite, linear)) return Outcome::kFault;
        const bool stored = bytes == 16 ? core.store(linear, *reinterpret_cast<Bytes16*>(staged))
                                        : core.store_bytes(linear, staged, form.memory_bytes);
        if (!stored) return Outcome::kFault;
    }
    if constexpr (gate == Gate::kMmx && use == MemoryUse::kStore) s.x87.tags = kAllValid;
    return Outcome::kNext;
}

// For half-precision conversions, which are never checked for alignment.
template <MemoryUse use, unsigned bytes>
Outcome run_any_alignment(Core& core, const Op& op) {
    const Core::AnyAlignment any(core);
    return run_vector<Gate::kVex, use, bytes, true>(core, op);
}

template <Gate gate, bool floating>
Handler handler_for(MemoryUse use, unsigned bytes) {
    switch (use) {
        case MemoryUse::kNone: return run_vector<gate, MemoryUse::kNone, 0, floating>;
        case MemoryUse::kStore:
            return bytes == 16 ? run_vector<gate, MemoryUse::kStore, 16, floating>
                               : run_vector<gate, MemoryUse::kStore, 0, floating>;
        case MemoryUse::kLoad: break;
    }
    switch (bytes) {
        case 4: return run_vector<gate, MemoryUse::kLoad, 4, floating>;
        case 8: return run_vector<gate, MemoryUse::kLoad, 8, floating>;
        case 16: return run_vector<gate, MemoryUse::kLoad, 16, floating>;
        case 32: return run_vector<gate, MemoryUse::kLoad, 32, floating>;
        default: return run_vector<gate, MemoryUse::kLoad, 0, floating>;
    }
}

}  // namespace

Handler half_precision_handler(MemoryUse use, unsigned bytes) {
    switch (use) {
        case MemoryUse::kNone: return run_vector<Gate::kVex, MemoryUse::kNone, 0, true>;
        case MemoryUse::kStore: return run_any_alignment<MemoryUse::kStore, 0>;
        case MemoryUse::kLoad: break;
    }
    return bytes == 8 ? run_any_alignment<MemoryUse::kLoad, 8>
                      : run_any_alignment<MemoryUse::kLoad, 16>;
}

Handler vector_handler(Gate gate, MemoryUse use, unsigned bytes, bool floating) {
    switch (gate) {
        case Gate::kSse: return floating ? handler_for<Gate::kSse, true>(use, bytes)
                                         : handler_for<Gate::kSse, false>(use, bytes);
        case Gate::kVex: return floating ? handler_for<Gate::kVex, true>(use, bytes)
                                         : handler_for<Gate::kVex, false>(use, bytes);
        case Gate::kMmx: return floating ? handler_for<Gate::kMmx, true>(use, bytes)
                                         : handler_for<Gate::kMmx, false>(use, bytes);
    }
    return nullptr;
}

Outcome refuse_address(Core& core, const Op& op, unsigned alignment) {
    if ((core.effective_address(op) & (alignment - 1u)) != 0) core.raised(Exception::gp());
    return Outcome::kFault;
}

void begin_mmx(X87State& x87) {
    x87.fsw &= static_cast<uint16_t>(~(7u << 11));
}

Outcome raise_undefined(Core& core, const Op&) { return core.raise(Exception::ud()); }

}  // namespace mynah::interpreter
