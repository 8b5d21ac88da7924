// MOV to and from DR0 to DR7 [SDM 2B MOV--Move to/from Debug Registers, 3B 17.2].

#include "engine/interpreter/system.h"

namespace mynah::interpreter {

namespace dr6 = x86::dr6;
namespace dr7 = x86::dr7;

namespace {

// DR4 and DR5 are other names of DR6 and DR7 unless CR4.DE makes them undefined. #UD comes before
// #GP, and general detection last.
bool may_access(Core& core, unsigned& number) {
    CpuState& s = core.s;
    if (number == 4 || number == 5) {
        if ((s.cr4 & x86::cr4::kDe) != 0) return core.raised(Exception::ud());
        number += 2;
    }
    if (!privileged(core)) return false;
    if ((s.dr7 & dr7::kGd) != 0) return core.raised(Exception::db(dr6::kBd));
    return true;
}

Outcome mov_from_debug(Core& core, const Op& op) {
    unsigned number = op.aux;
    if (!may_access(core, number)) return Outcome::kFault;
    const CpuState& s = core.s;
    uint64_t value = number < 4 ? s.dr[number] : number == 6 ? s.dr6 : s.dr7;
    if (core.mode.code_size != CodeSize::k64) value &= 0xffffffff;
    core.set_reg<uint64_t>(op.dst, value);
    return Outcome::kNext;
}

Outcome mov_to_debug(Core& core, const Op& op) {
    unsigned number = op.aux;
    if (!may_access(core, number)) return Outcome::kFault;
    CpuState& s = core.s;
    const uint64_t value = core.reg<uint64_t>(op.src) &
                           (core.mode.code_size == CodeSize::k64 ? ~uint64_t{0} : 0xffffffff);
    if (number >= 4 && value >> 32 != 0) return core.raise(Exception::gp());
    if (number < 4) {
        s.dr[number] = value;
    } else if (number == 6) {
        s.dr6 = (value & dr6::kWritable) | dr6::kReset;
    } else {
        constexpr uint64_t kWritable = 0xffff23ff;  // bits 10 is one; 11, 12, 14, 15 are zero
        s.dr7 = (value & kWritable) | dr7::kReset;
    }
    return core.leave_after(op);
}

}  // namespace

bool build_mov_debug(Build& b) {
    const bool to_debug = ZydisRegisterGetClass(b.operand(0).reg.value) == ZYDIS_REGCLASS_DEBUG;
    const auto number = b.operand(to_debug ? 0 : 1).reg.value - ZYDIS_REGISTER_DR0;
    if (number > 7) return false;
    b.op.aux = static_cast<uint16_t>(number);
    if (to_debug) {
        b.op.src = b.slot(1);
        return b.done_ending_block(mov_to_debug);
    }
    b.op.dst = b.slot(0);
    return b.done(mov_from_debug);
}

}  // namespace mynah::interpreter
