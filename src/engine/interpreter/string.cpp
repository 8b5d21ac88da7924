// MOVS STOS LODS SCAS CMPS INS OUTS with and without repeat prefixes. A repeated instruction works
// page by page where it can, gives way to signals between chunks, and keeps rCX, rSI and rDI such
// that it can be restarted after a fault in any iteration.

#include <algorithm>

#include "engine/interpreter/alu.h"
#include "engine/interpreter/io_permission.h"
#include "engine/interpreter/operand.h"

namespace mynah::interpreter {
namespace {

enum class Repeat { kNone, kAlways, kWhileEqual, kWhileNotEqual };

// Iterations before looking for signals.
constexpr uint64_t kChunk = 4096;

// rCX, rSI and rDI at the instruction's address size.
class Counters {
  public:
    Counters(Core& core, const Op& op) : core_(core), mask_(low_mask(op.address_bits)) {}

    uint64_t get(Gpr reg) const { return core_.s.gpr[reg] & mask_; }
    void set(Gpr reg, uint64_t value) {
        if (mask_ == 0xffff) {
            core_.set_reg<uint16_t>(reg, static_cast<uint16_t>(value));
        } else {
            core_.s.gpr[reg] = value & mask_;
        }
    }
    // 32-bit counters in 64-bit mode: what processors clear the upper halves of before anything
    // else, even if there is nothing to do.
    void truncate(Gpr reg) {
        if (mask_ == 0xffffffff) set(reg, get(reg));
    }
    void advance(Gpr reg, int64_t by) { set(reg, get(reg) + static_cast<uint64_t>(by)); }

  private:
    Core& core_;
    const uint64_t mask_;
};

template <typename T>
int64_t step_of(const Core& core) {
    return core.s.flags.has(x86::rflags::kDf) ? -static_cast<int64_t>(sizeof(T)) : sizeof(T);
}

// Offsets of rSI go with op.segment, those of rDI with ES always.
template <typename T>
bool source_linear(Core& core, const Op& op, uint64_t offset, uint64_t& linear) {
    return core.segment_linear(op.segment, offset, sizeof(T), AccessKind::kRead, linear);
}
template <typename T>
bool destination_linear(Core& core, uint64_t offset, AccessKind kind, uint64_t& linear) {
    return core.segment_linear(x86::Segment::kEs, offset, sizeof(T), kind, linear);
}

// Runs `iteration` (false: fault; `stop` set: the comparison ends it) as the prefix says. `block`
// may do many iterations at once and returns how many it did.
template <Repeat kRepeat, bool kTruncateRsi, bool kTruncateRdi, class Iteration, class BlockMove>
Outcome repeat(Core& core, const Op& op, Iteration iteration, BlockMove block) {
    Counters counters(core, op);
    bool stop = false;
    if constexpr (kRepeat == Repeat::kNone) {
        return iteration(counters, stop) ? Outcome::kNext : Outcome::kFault;
    } else {
        uint64_t left = counters.get(kRcx);
        counters.truncate(kRcx);
        if (kTruncateRsi) counters.truncate(kRsi);
        if (kTruncateRdi) counters.truncate(kRdi);
        if (left == 0) return Outcome::kNext;
        const uint16_t flags = core.s.flags.arithmetic;
        for (uint64_t done = 0; !stop;) {
            uint64_t n = block(counters, left);
            if (n == 0) {
                // A fault after some iterations: those are complete, rCX says how many are left;
                // but flags are as before the instruction [SDM 2B REP].
                if (!iteration(counters, stop)) {
                    core.s.flags.arithmetic = flags;
                    return Outcome::kFault;
                }
                n = 1;
            }
            left -= n;
            counters.set(kRcx, left);
            if (left == 0) break;
            done += n;
            if (done >= kChunk || core.single_iterations()) {
                done = 0;
                if (!stop && (core.signalled() || core.single_iterations())) {
                    core.s.rip = core.rip_of(op);
                    return Outcome::kRepeat;
                }
            }
        }
        return Outcome::kNext;
    }
}

constexpr auto kNoBlock = [](Counters&, uint64_t) -> uint64_t { return 0; };

// How many elements from `linear` upwards lie in its page.
template <typename T>
uint64_t elements_in_page(uint64_t linear) {
    return (kPageSize - (linear & kPageMask)) / sizeof(T);
}

template <typename T, Repeat kRepeat>
Outcome movs(Core& core, const Op& op) {
    const int64_t step = step_of<T>(core);
    const auto iteration = [&](Counters& counters, bool&) {
        uint64_t from, to;
        T value;
        if (!source_linear<T>(core, op, counters.get(kRsi), from) || !core.load(from, value))
            return false;
        if (!destination_linear<T>(core, counters.get(kRdi), AccessKind::kWrite, to)) return false;
        if (!core.store(to, value)) return false;
        counters.advance(kRsi, step);
        counters.advance(kRdi, step);
        return true;
    };
    const auto block = [&](Counters& counters, uint64_t left) -> uint64_t {
        if (core.mode.code_size != CodeSize::k64 || op.address_bits != 64 || step < 0) return 0;
        if (core.alignment_checked()) return 0;
        uint64_t from, to;
        if (!source_linear<T>(core, op, counters.get(kRsi), from)) return 0;
        if (!destination_linear<T>(core, counters.get(kRdi), AccessKind::kWrite, to)) return 0;
        const uint64_t n = std::min({left, elements_in_page<T>(from), elements_in_page<T>(to)});
        if (n < 4) return 0;
        const unsigned bytes = static_cast<unsigned>(n * sizeof(T));
        bool faulted = false;
        const void* source = core.host_for_read(from, bytes, faulted);
        if (source == nullptr || faulted) return 0;
        void* target = core.host_for_modify(to, bytes, faulted);
        if (target == nullptr || faulted) return 0;
        // Forward by element replicates where the target follows closely behind the source.
        const auto distance =
            reinterpret_cast<uintptr_t>(target) - reinterpret_cast<uintptr_t>(source);
        if (distance < bytes && distance != 0) return 0;
        std::memmove(target, source, bytes);
        counters.advance(kRsi, bytes);
        counters.advance(kRdi, bytes);
        return n;
    };
    return repeat<kRepeat, true, true>(core, op, iteration, block);
}

template <typename T, Repeat kRepeat>
Outcome stos(Core& core, const Op& op) {
    const int64_t step = step_of<T>(core);
    const T value = core.reg<T>(kRax);
    const auto iteration = [&](Counters& counters, bool&) {
        uint64_t to;
        if (!destination_linear<T>(core, counters.get(kRdi), AccessKind::kWrite, to)) return false;
        if (!core.store(to, value)) return false;
        counters.advance(kRdi, step);
        return true;
    };
    const auto block = [&](Counters& counters, uint64_t left) -> uint64_t {
        if (core.mode.code_size != CodeSize::k64 || op.address_bits != 64 || step < 0) return 0;
        if (core.alignment_checked()) return 0;
        uint64_t to;
        if (!destination_linear<T>(core, counters.get(kRdi), AccessKind::kWrite, to)) return 0;
        const uint64_t n = std::min(left, elements_in_page<T>(to));
        if (n < 4) return 0;
        const unsigned bytes = static_cast<unsigned>(n * sizeof(T));
        bool faulted = false;
        auto* target = static_cast<std::byte*>(core.host_for_modify(to, bytes, faulted));
        if (target == nullptr || faulted) return 0;
        for (uint64_t i = 0; i < n; ++i) store_unaligned(target + i * sizeof(T), value);
        counters.advance(kRdi, bytes);
        return n;
    };
    return repeat<kRepeat, false, true>(core, op, iteration, block);
}

template <typename T, Repeat kRepeat>
Outcome lods(Core& core, const Op& op) {
    const int64_t step = step_of<T>(core);
    const auto iteration = [&](Counters& counters, bool&) {
        uint64_t from;
        T value;
        if (!source_linear<T>(core, op, counters.get(kRsi), from) || !core.load(from, value))
            return false;
        core.set_reg<T>(kRax, value);
        counters.advance(kRsi, step);
        return true;
    };
    return repeat<kRepeat, false, false>(core, op, iteration, kNoBlock);
}

// Whether a comparison ends the repetition.
template <Repeat kRepeat>
bool ends(const Core& core) {
    const bool equal = (core.s.flags.arithmetic & Flags::kZf) != 0;
    return kRepeat == Repeat::kWhileEqual ? !equal : equal;
}

template <typename T, Repeat kRepeat>
Outcome scas(Core& core, const Op& op) {
    const int64_t step = step_of<T>(core);
    const T value = core.reg<T>(kRax);
    const auto iteration = [&](Counters& counters, bool& stop) {
        uint64_t at;
        T element;
        if (!destination_linear<T>(core, counters.get(kRdi), AccessKind::kRead, at)) return false;
        if (!core.load(at, element)) return false;
        Cmp::run(value, element, core.s.flags.arithmetic);
        counters.advance(kRdi, step);
        stop = ends<kRepeat>(core);
        return true;
    };
    return repeat<kRepeat, false, false>(core, op, iteration, kNoBlock);
}

template <typename T, Repeat kRepeat>
Outcome cmps(Core& core, const Op& op) {
    const int64_t step = step_of<T>(core);
    const auto iteration = [&](Counters& counters, bool& stop) {
        uint64_t a_at, b_at;
        T a, b;
        if (!destination_linear<T>(core, counters.get(kRdi), AccessKind::kRead, b_at)) return false;
        if (!core.load(b_at, b)) return false;
        if (!source_linear<T>(core, op, counters.get(kRsi), a_at) || !core.load(a_at, a))
            return false;
        Cmp::run(a, b, core.s.flags.arithmetic);
        counters.advance(kRsi, step);
        counters.advance(kRdi, step);
        stop = ends<kRepeat>(core);
        return true;
    };
    return repeat<kRepeat, false, false>(core, op, iteration, kNoBlock);
}

template <typename T, Repeat kRepeat>
Outcome ins(Core& core, const Op& op) {
    const auto port = static_cast<uint16_t>(core.s.gpr[kRdx]);
    if (!io_permitted(core, port, sizeof(T))) return Outcome::kFault;
    const int64_t step = step_of<T>(core);
    const auto iteration = [&](Counters& counters, bool&) {
        uint64_t to;
        if (!destination_linear<T>(core, counters.get(kRdi), AccessKind::kWrite, to)) return false;
        if (!core.probe_store(to, sizeof(T))) return false;  // before the device is read
        if (!core.store(to, static_cast<T>(core.ports.io_read(IoPort{port}, sizeof(T)))))
            return false;
        counters.advance(kRdi, step);
        return true;
    };
    return repeat<kRepeat, false, true>(core, op, iteration, kNoBlock);
}

template <typename T, Repeat kRepeat>
Outcome outs(Core& core, const Op& op) {
    const auto port = static_cast<uint16_t>(core.s.gpr[kRdx]);
    if (!io_permitted(core, port, sizeof(T))) return Outcome::kFault;
    const int64_t step = step_of<T>(core);
    const auto iteration = [&](Counters& counters, bool&) {
        uint64_t from;
        T value;
        if (!source_linear<T>(core, op, counters.get(kRsi), from) || !core.load(from, value))
            return false;
        core.ports.io_write(IoPort{port}, sizeof(T), value);
        counters.advance(kRsi, step);
        return true;
    };
    return repeat<kRepeat, true, false>(core, op, iteration, kNoBlock);
}

// --- selection
// ------------------------------------------------------------------------------------

bool has_repeat(const Build& b) {
    return b.instruction.has_prefix(ZYDIS_ATTRIB_HAS_REP) ||
           b.instruction.has_prefix(ZYDIS_ATTRIB_HAS_REPE) ||
           b.instruction.has_prefix(ZYDIS_ATTRIB_HAS_REPNE);
}

void prepare(Build& b) {
    b.op.address_bits = static_cast<uint8_t>(b.instruction.info.address_width);
    b.op.segment = hidden_memory_segment(b);
    b.op.base = b.op.index = CpuState::kZeroSlot;
    b.op.disp = 0;
}

#define MYNAH_PLAIN_STRING(NAME, T)                                                       \
    [](Build& b) {                                                                        \
        prepare(b);                                                                       \
        return b.done(has_repeat(b) ? NAME<T, Repeat::kAlways> : NAME<T, Repeat::kNone>); \
    }
#define MYNAH_COMPARING_STRING(NAME, T)                                                       \
    [](Build& b) {                                                                            \
        prepare(b);                                                                           \
        if (b.instruction.has_prefix(ZYDIS_ATTRIB_HAS_REPNE)) {                               \
            return b.done(NAME<T, Repeat::kWhileNotEqual>);                                   \
        }                                                                                     \
        return b.done(has_repeat(b) ? NAME<T, Repeat::kWhileEqual> : NAME<T, Repeat::kNone>); \
    }

}  // namespace

void add_string(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_MOVSB] = MYNAH_PLAIN_STRING(movs, uint8_t);
    table[ZYDIS_MNEMONIC_MOVSW] = MYNAH_PLAIN_STRING(movs, uint16_t);
    // MOVSD and CMPSD are also vector mnemonics: the vector unit asks here first.
    table[ZYDIS_MNEMONIC_MOVSD] = MYNAH_PLAIN_STRING(movs, uint32_t);
    table[ZYDIS_MNEMONIC_MOVSQ] = MYNAH_PLAIN_STRING(movs, uint64_t);
    table[ZYDIS_MNEMONIC_STOSB] = MYNAH_PLAIN_STRING(stos, uint8_t);
    table[ZYDIS_MNEMONIC_STOSW] = MYNAH_PLAIN_STRING(stos, uint16_t);
    table[ZYDIS_MNEMONIC_STOSD] = MYNAH_PLAIN_STRING(stos, uint32_t);
    table[ZYDIS_MNEMONIC_STOSQ] = MYNAH_PLAIN_STRING(stos, uint64_t);
    table[ZYDIS_MNEMONIC_LODSB] = MYNAH_PLAIN_STRING(lods, uint8_t);
    table[ZYDIS_MNEMONIC_LODSW] = MYNAH_PLAIN_STRING(lods, uint16_t);
    table[ZYDIS_MNEMONIC_LODSD] = MYNAH_PLAIN_STRING(lods, uint32_t);
    table[ZYDIS_MNEMONIC_LODSQ] = MYNAH_PLAIN_STRING(lods, uint64_t);
    table[ZYDIS_MNEMONIC_SCASB] = MYNAH_COMPARING_STRING(scas, uint8_t);
    table[ZYDIS_MNEMONIC_SCASW] = MYNAH_COMPARING_STRING(scas, uint16_t);
    table[ZYDIS_MNEMONIC_SCASD] = MYNAH_COMPARING_STRING(scas, uint32_t);
    table[ZYDIS_MNEMONIC_SCASQ] = MYNAH_COMPARING_STRING(scas, uint64_t);
    table[ZYDIS_MNEMONIC_CMPSB] = MYNAH_COMPARING_STRING(cmps, uint8_t);
    table[ZYDIS_MNEMONIC_CMPSW] = MYNAH_COMPARING_STRING(cmps, uint16_t);
    table[ZYDIS_MNEMONIC_CMPSD] = MYNAH_COMPARING_STRING(cmps, uint32_t);
    table[ZYDIS_MNEMONIC_CMPSQ] = MYNAH_COMPARING_STRING(cmps, uint64_t);
    table[ZYDIS_MNEMONIC_INSB] = MYNAH_PLAIN_STRING(ins, uint8_t);
    table[ZYDIS_MNEMONIC_INSW] = MYNAH_PLAIN_STRING(ins, uint16_t);
    table[ZYDIS_MNEMONIC_INSD] = MYNAH_PLAIN_STRING(ins, uint32_t);
    table[ZYDIS_MNEMONIC_OUTSB] = MYNAH_PLAIN_STRING(outs, uint8_t);
    table[ZYDIS_MNEMONIC_OUTSW] = MYNAH_PLAIN_STRING(outs, uint16_t);
    table[ZYDIS_MNEMONIC_OUTSD] = MYNAH_PLAIN_STRING(outs, uint32_t);
}

}  // namespace mynah::interpreter
