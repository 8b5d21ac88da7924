// RDRAND RDSEED, by the host's own.

#include <immintrin.h>

#include "engine/interpreter/operand.h"

namespace mynah::interpreter {
namespace {

__attribute__((target("rdrnd"))) bool host_rdrand(uint64_t& value) {
    unsigned long long drawn = 0;
    const bool ok = _rdrand64_step(&drawn) != 0;
    value = drawn;
    return ok;
}
__attribute__((target("rdseed"))) bool host_rdseed(uint64_t& value) {
    unsigned long long drawn = 0;
    const bool ok = _rdseed64_step(&drawn) != 0;
    value = drawn;
    return ok;
}

// CF tells whether there was a value; all other flags are cleared.
template <typename T, bool (*kDraw)(uint64_t&)>
Outcome draw(Core& core, const Op& op) {
    uint64_t value = 0;
    const bool ok = kDraw(value);
    core.s.flags.arithmetic = static_cast<uint16_t>(0x0200 | (ok ? Flags::kCf : 0));
    core.set_reg<T>(op.dst, static_cast<T>(ok ? value : 0));
    return Outcome::kNext;
}

template <bool (*kDraw)(uint64_t&)>
bool build(Build& b) {
    b.op.dst = b.slot(0);
    return by_wide_size(b.bits(0), [&](auto type) { b.op.handler = draw<decltype(type), kDraw>; });
}

}  // namespace

void add_random(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_RDRAND] = build<host_rdrand>;
    table[ZYDIS_MNEMONIC_RDSEED] = build<host_rdseed>;
}

}  // namespace mynah::interpreter
