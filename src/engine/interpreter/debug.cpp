#include "engine/interpreter/debug.h"

#include "base/bits.h"

namespace mynah::interpreter {
namespace {

// R/W field of a breakpoint in DR7.
enum class Watch : unsigned { kExecute = 0, kWrite = 1, kIo = 2, kReadWrite = 3 };

bool enabled(uint64_t dr7, unsigned i) { return (dr7 >> (i * 2) & 3) != 0; }
Watch watch_of(uint64_t dr7, unsigned i) { return static_cast<Watch>(dr7 >> (16 + i * 4) & 3); }
uint64_t bytes_of(uint64_t dr7, unsigned i) {
    constexpr uint64_t kBytes[] = {1, 2, 8, 4};  // LEN field [SDM 3B 17.2.4]
    return kBytes[dr7 >> (18 + i * 4) & 3];
}

// Whether [address, address+size) meets breakpoint i, whose low address bits are ignored as its
// length says.
bool meets(const CpuState& state, unsigned i, uint64_t address, uint64_t size) {
    const uint64_t length = bytes_of(state.dr7, i);
    const uint64_t start = align_down(state.dr[i], length);
    return address - start < length || start - address < size;
}

}  // namespace

bool debug_active(const CpuState& state) { return (state.dr7 & x86::dr7::kEnables) != 0; }

uint64_t code_breakpoint_hits(const CpuState& state, uint64_t linear) {
    uint64_t hits = 0;
    for (unsigned i = 0; i < state.dr.size(); ++i) {
        if (enabled(state.dr7, i) && watch_of(state.dr7, i) == Watch::kExecute &&
            state.dr[i] == linear) {
            hits |= x86::dr6::kB0 << i;
        }
    }
    return hits;
}

uint64_t data_breakpoint_hits(const CpuState& state, uint64_t linear, unsigned size,
                              AccessKind kind) {
    if (kind == AccessKind::kExecute) return 0;
    uint64_t hits = 0;
    for (unsigned i = 0; i < state.dr.size(); ++i) {
        if (!enabled(state.dr7, i)) continue;
        const Watch watch = watch_of(state.dr7, i);
        const bool watched =
            watch == Watch::kReadWrite || (watch == Watch::kWrite && kind == AccessKind::kWrite);
        if (watched && meets(state, i, linear, size)) hits |= x86::dr6::kB0 << i;
    }
    return hits;
}

uint64_t io_breakpoint_hits(const CpuState& state, uint16_t port, unsigned size) {
    if ((state.cr4 & x86::cr4::kDe) == 0) return 0;
    uint64_t hits = 0;
    for (unsigned i = 0; i < state.dr.size(); ++i) {
        if (enabled(state.dr7, i) && watch_of(state.dr7, i) == Watch::kIo &&
            meets(state, i, port, size)) {
            hits |= x86::dr6::kB0 << i;
        }
    }
    return hits;
}

}  // namespace mynah::interpreter
