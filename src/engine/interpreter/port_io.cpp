// IN OUT. INS and OUTS are in string.cpp.

#include "engine/interpreter/io_permission.h"
#include "engine/interpreter/operand.h"

namespace mynah::interpreter {
namespace {

template <bool kImm>
uint16_t port_of(const Core& core, const Op& op) {
    return kImm ? static_cast<uint8_t>(op.imm) : static_cast<uint16_t>(core.s.gpr[kRdx]);
}

template <typename T, bool kImm>
Outcome in(Core& core, const Op& op) {
    const uint16_t port = port_of<kImm>(core, op);
    if (!io_permitted(core, port, sizeof(T))) return Outcome::kFault;
    core.set_reg<T>(kRax, static_cast<T>(core.ports.io_read(IoPort{port}, sizeof(T))));
    return core.leave_after(op);  // the device may have changed what is signalled
}

template <typename T, bool kImm>
Outcome out(Core& core, const Op& op) {
    const uint16_t port = port_of<kImm>(core, op);
    if (!io_permitted(core, port, sizeof(T))) return Outcome::kFault;
    core.ports.io_write(IoPort{port}, sizeof(T), core.reg<T>(kRax));
    return core.leave_after(op);
}

template <typename Choose>
bool by_port_size(unsigned bits, Choose choose) {
    switch (bits) {
        case 8: choose(uint8_t{}); return true;
        case 16: choose(uint16_t{}); return true;
        case 32: choose(uint32_t{}); return true;
        default: return false;
    }
}

bool build_in(Build& b) {
    b.ends_block = true;
    const bool imm = b.is_imm(1);
    if (imm) b.op.imm = b.imm(1);
    return by_port_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        b.op.handler = imm ? in<T, true> : in<T, false>;
    });
}
bool build_out(Build& b) {
    b.ends_block = true;
    const bool imm = b.is_imm(0);
    if (imm) b.op.imm = b.imm(0);
    return by_port_size(b.bits(1), [&](auto type) {
        using T = decltype(type);
        b.op.handler = imm ? out<T, true> : out<T, false>;
    });
}

}  // namespace

void add_port_io(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_IN] = build_in;
    table[ZYDIS_MNEMONIC_OUT] = build_out;
}

}  // namespace mynah::interpreter
