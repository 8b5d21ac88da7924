// x87 instructions that only move registers: FLD ST(i), FST(P) ST(i), FXCH.

#include <bit>
#include <utility>

#include "engine/interpreter/x87.h"

namespace mynah::interpreter {
namespace {

constexpr uint16_t kC1 = 0x200, kTopMask = 0x3800;

// Bit i: ST(i) is not empty.
unsigned full_registers(const X87State& x87) {
    return std::rotr(x87.tags, static_cast<int>(x87.top()));
}

void set_top(X87State& x87, unsigned top) {
    x87.fsw = static_cast<uint16_t>((x87.fsw & ~(kTopMask | kC1)) | (top & 7) << 11);
}

Outcome on_state(Core& core, const Op& op) {
    run_x87_on_state(core, op);
    return Outcome::kNext;
}

Outcome fld_register(Core& core, const Op& op) {
    if (!x87_allowed(core)) return Outcome::kFault;
    X87State& x87 = core.s.x87;
    const unsigned full = full_registers(x87);
    if ((full >> op.src & 1) == 0 || (full & 0x80) != 0) return on_state(core, op);
    x87.st(7) = x87.st(op.src);
    set_top(x87, x87.top() - 1);
    x87.tags = static_cast<uint8_t>(x87.tags | 1u << x87.top());
    note_x87_instruction(core, op);
    return Outcome::kNext;
}

template <bool pop>
Outcome fst_register(Core& core, const Op& op) {
    if (!x87_allowed(core)) return Outcome::kFault;
    X87State& x87 = core.s.x87;
    if ((full_registers(x87) & 1) == 0) return on_state(core, op);
    const unsigned top = x87.top();
    x87.st(op.src) = x87.st(0);
    x87.tags = static_cast<uint8_t>(x87.tags | 1u << ((top + op.src) & 7));
    if (pop) x87.tags = static_cast<uint8_t>(x87.tags & ~(1u << top));
    set_top(x87, pop ? top + 1 : top);
    note_x87_instruction(core, op);
    return Outcome::kNext;
}

Outcome fxch(Core& core, const Op& op) {
    if (!x87_allowed(core)) return Outcome::kFault;
    X87State& x87 = core.s.x87;
    const unsigned full = full_registers(x87);
    if ((full & 1) == 0 || (full >> op.src & 1) == 0) return on_state(core, op);
    std::swap(x87.st(0), x87.st(op.src));
    set_top(x87, x87.top());
    note_x87_instruction(core, op);
    return Outcome::kNext;
}

}  // namespace

bool build_x87_move(const X87Code& code, Op& op) {
    const uint8_t group = code.modrm & 0xf8;
    if (code.opcode == 0xd9 && group == 0xc0) op.handler = fld_register;
    else if (code.opcode == 0xd9 && group == 0xc8) op.handler = fxch;
    else if (code.opcode == 0xdd && group == 0xd0) op.handler = fst_register<false>;
    else if (code.opcode == 0xdd && group == 0xd8) op.handler = fst_register<true>;
    else return false;
    return true;
}

}  // namespace mynah::interpreter
