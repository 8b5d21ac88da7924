#include "engine/translator/register_changes.h"

#include <bit>

#include "cpu/cpu_state.h"
#include "engine/translator/instruction_kind.h"
#include "engine/translator/translation.h"

namespace mynah::translator {
namespace {

bool is_whole(const ZydisDecodedOperand& operand, unsigned guest) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && operand.size == 64 &&
           is_general_register(operand) && general_register(operand.reg.value) == guest;
}

}  // namespace

// An instruction that adds a constant to the register.
bool RegisterChanges::increment(const GuestInstruction& in, unsigned guest, int64_t& change) {
    const ZydisDecodedOperand& to = in.operand(0);
    switch (in.mnemonic()) {
        case ZYDIS_MNEMONIC_PUSH:
            change = -8;
            return guest == kRsp && in.width() == 64;
        case ZYDIS_MNEMONIC_POP:
            change = 8;
            return guest == kRsp && in.width() == 64 && !is_whole(to, kRsp);
        case ZYDIS_MNEMONIC_INC: change = 1; return is_whole(to, guest);
        case ZYDIS_MNEMONIC_DEC: change = -1; return is_whole(to, guest);
        case ZYDIS_MNEMONIC_ADD:
        case ZYDIS_MNEMONIC_SUB:
            if (!is_whole(to, guest) || in.operand(1).type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
                return false;
            change = in.mnemonic() == ZYDIS_MNEMONIC_ADD ? in.operand(1).imm.value.s
                                                         : -in.operand(1).imm.value.s;
            return true;
        case ZYDIS_MNEMONIC_LEA: {
            Sum sum;
            if (!sum_of(in, guest, sum) || sum.base != guest || sum.index != kNone) return false;
            change = sum.disp;
            return true;
        }
        default: return false;
    }
}

bool RegisterChanges::sum_of(const GuestInstruction& in, unsigned guest, Sum& sum) {
    const ZydisDecodedOperand& to = in.operand(0);
    if (!is_whole(to, guest)) return false;
    const ZydisDecodedOperand& from = in.operand(1);
    if (in.mnemonic() == ZYDIS_MNEMONIC_MOV) {
        if (from.type != ZYDIS_OPERAND_TYPE_REGISTER || !is_general_register(from)) return false;
        sum.base = static_cast<uint8_t>(general_register(from.reg.value));
        return true;
    }
    if (in.mnemonic() != ZYDIS_MNEMONIC_LEA || in.decoded.info.address_width != 64 ||
        from.mem.base == ZYDIS_REGISTER_RIP) {
        return false;
    }
    if (from.mem.base != ZYDIS_REGISTER_NONE)
        sum.base = static_cast<uint8_t>(general_register(from.mem.base));
    if (from.mem.index != ZYDIS_REGISTER_NONE) {
        sum.index = static_cast<uint8_t>(general_register(from.mem.index));
        sum.scale = from.mem.scale;
    }
    sum.disp = from.mem.disp.has_displacement ? from.mem.disp.value : 0;
    return sum.base != kNone || sum.index != kNone;
}

// Whether the register was computed the same way before; by how much the new value differs from
// what is in it now.
bool RegisterChanges::computed_again(unsigned guest, const Sum& sum, int64_t& change) const {
    const Sum& before = sums_[guest];
    if (before.then.era != now_[guest].era || before.base != sum.base ||
        before.index != sum.index || before.scale != sum.scale) {
        return false;
    }
    change = sum.disp - before.disp - (now_[guest].moved - before.then.moved);
    if (sum.base != kNone) {
        if (before.base_then.era != now_[sum.base].era) return false;
        change += now_[sum.base].moved - before.base_then.moved;
    }
    if (sum.index != kNone) {
        if (before.index_then.era != now_[sum.index].era) return false;
        change += (now_[sum.index].moved - before.index_then.moved) * sum.scale;
    }
    return true;
}

void RegisterChanges::follow(const GuestInstruction& in) {
    for (unsigned left = in.written; left != 0; left &= left - 1) {
        const auto guest = static_cast<unsigned>(std::countr_zero(left));
        Place& now = now_[guest];
        int64_t change = 0;
        if (increment(in, guest, change)) {
            now.moved += change;
            continue;
        }
        Sum sum;
        const bool is_sum = sum_of(in, guest, sum);
        if (is_sum) {
            if (sum.base != kNone) sum.base_then = now_[sum.base];
            if (sum.index != kNone) sum.index_then = now_[sum.index];
        }
        const bool again = is_sum && computed_again(guest, sum, change);
        if (again) {
            now.moved += change;
        } else {
            ++now.era;
        }
        // A register that goes into its own sum is not what it was behind it.
        if (!is_sum || sum.base == guest || sum.index == guest) sum = {};
        sum.then = now;
        sums_[guest] = sum;
    }
}

}  // namespace mynah::translator
