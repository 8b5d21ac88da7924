#include "engine/interpreter/io_permission.h"

#include "engine/interpreter/core.h"
#include "engine/interpreter/debug.h"

namespace mynah::interpreter {

namespace {

bool allowed(Core& core, uint16_t port, unsigned size) {
    const CpuState& s = core.s;
    if (!s.protected_mode()) return true;
    if (!s.virtual_8086() && s.cpl() <= s.iopl()) return true;

    constexpr unsigned kMapBase = 0x66;  // word in a 32- or 64-bit TSS [SDM 3A 7.2.1, 7.7]
    const unsigned type = s.tr.attributes & x86::segment_attribute::kType;
    if (type != x86::system_type::kTss32Busy || s.tr.limit < kMapBase + 1) {
        return core.raised(Exception::gp());
    }
    uint16_t base;
    if (!core.load_implicit(s.tr.base + kMapBase, base)) return false;
    // Two bytes are always read, as the ports may straddle them.
    const uint32_t at = uint32_t{base} + port / 8;
    if (at + 1 > s.tr.limit) return core.raised(Exception::gp());
    uint16_t map;
    if (!core.load_implicit(s.tr.base + at, map)) return false;
    const unsigned mask = ((1u << size) - 1) << (port % 8);
    return (map & mask) == 0 || core.raised(Exception::gp());
}

}  // namespace

bool io_permitted(Core& core, uint16_t port, unsigned size) {
    if (!allowed(core, port, size)) return false;
    // Every port access comes by here, so breakpoints on ports are noticed here too.
    if (debug_active(core.s)) core.pending_debug |= io_breakpoint_hits(core.s, port, size);
    return true;
}

}  // namespace mynah::interpreter
