#include "silicon/block_branches.h"

#include <algorithm>

#include "cpu/cpu_state.h"
#include "spec/x86/control_registers.h"

namespace mynah::silicon {
namespace {

namespace rflags = x86::rflags;

constexpr unsigned kJmp = 0xe9, kCall = 0xe8, kShortJmp = 0xeb, kShortJcc = 0x70, kNearJcc = 0x80,
                   kLoopne = 0xe0, kJrcxz = 0xe3, kRet = 0xc3, kRetImm = 0xc2;

}  // namespace

Unit BlockBranches::end() const { return {code_.raw({0xcc})}; }

Unit BlockBranches::function_end() const { return {code_.raw({kRet})}; }

Unit BlockBranches::make(const Region& region, unsigned at,
                         const std::vector<unsigned>& callable) {
    switch (random_.below(12)) {
        case 0:
        case 1:
        case 2:
        case 3: return forward(region, at);
        case 4:
        case 5: return backward(region, at);
        case 6:
        case 7: return plan_.counter >= 0 ? counted(region, at) : backward(region, at);
        case 8:
        case 9: return callable.empty() ? forward(region, at) : call(callable);
        case 10: return return_elsewhere(region, at);
        default: return where_am_i(at);
    }
}

unsigned BlockBranches::free_register(bool index) {
    const uint64_t registers = block_.mode == CodeSize::k64 ? 16 : 8;
    for (;;) {
        const auto reg = static_cast<unsigned>(random_.below(registers));
        const bool pinned = (plan_.surroundings.pinned >> reg & 1) != 0;
        if (!pinned && !(index && reg == kRsp)) return reg;
    }
}

// Overflow decides half of the conditions; where it may be undefined it is made to be defined.
void BlockBranches::define_flags(Unit& unit, uint64_t looked_at) {
    if ((plan_.loose_flags & looked_at) == 0) return;
    unit.push_back(code_.compare(kRax, kRdx));
}

void BlockBranches::conditional(Unit& unit, unsigned target) {
    const auto condition = static_cast<unsigned>(random_.below(16));
    const bool looks_at_overflow = condition < 2 || condition >= 12;
    if (looks_at_overflow) define_flags(unit, rflags::kOf);
    if (random_.one_in(3)) {
        unit.push_back(code_.short_branch({kShortJcc | condition}, target));
    } else {
        unit.push_back(code_.branch({0x0f, kNearJcc | condition}, target));
    }
}

void BlockBranches::indirect(Unit& unit, bool call, unsigned target) {
    switch (random_.below(3)) {
        case 0: {
            const unsigned reg = free_register(false);
            unit.push_back(code_.load_unit(reg, target));
            unit.push_back(code_.through_register(call, reg));
            break;
        }
        case 1: {
            const unsigned reg = free_register(true);
            unit.push_back(code_.load_index(reg, target));
            unit.push_back(code_.through_table(call, reg));
            break;
        }
        default: unit.push_back(code_.through_slot(call, target)); break;
    }
}

void BlockBranches::branch(Unit& unit, unsigned target) {
    switch (random_.below(8)) {
        case 0: unit.push_back(code_.branch({kJmp}, target)); break;
        case 1: unit.push_back(code_.short_branch({kShortJmp}, target)); break;
        case 2: {  // LOOPNE, LOOPE, LOOP, JRCXZ: on a count of its own
            if (random_.one_in(2)) unit.push_back(code_.load(kRcx, random_.below(3)));
            unit.push_back(code_.short_branch({kLoopne + static_cast<unsigned>(random_.below(4))},
                                              target));
            break;
        }
        case 3: indirect(unit, false, target); break;
        default: conditional(unit, target); break;
    }
}

Unit BlockBranches::forward(const Region& region, unsigned at) {
    Unit unit;
    const unsigned furthest = std::min(region.end, at + 6);
    branch(unit, at + 1 + static_cast<unsigned>(random_.below(furthest - at)));
    return unit;
}

Unit BlockBranches::backward(const Region& region, unsigned at) {
    const unsigned target = at - static_cast<unsigned>(random_.below(at - region.begin + 1));
    Unit unit = {code_.load_from(kRcx, kFuelSlot), code_.short_branch({kJrcxz}, at + 1),
                 code_.add_address(kRcx, -1), code_.store_to(kFuelSlot, kRcx)};
    branch(unit, target);
    return unit;
}

// As compilers write loops. No flag of the block survives this.
Unit BlockBranches::counted(const Region& region, unsigned at) {
    const unsigned target = at - static_cast<unsigned>(random_.below(at - region.begin + 1));
    constexpr unsigned kJg = 0xf;
    return {code_.decrement(static_cast<unsigned>(plan_.counter)),
            code_.branch({0x0f, kNearJcc | kJg}, target)};
}

Unit BlockBranches::call(const std::vector<unsigned>& callable) {
    Unit unit;
    const unsigned target = callable[random_.below(callable.size())];
    if (random_.one_in(2)) {
        unit.push_back(code_.branch({kCall}, target));
    } else {
        indirect(unit, true, target);
    }
    return unit;
}

// A return that answers no call.
Unit BlockBranches::return_elsewhere(const Region& region, unsigned at) {
    const unsigned furthest = std::min(region.end, at + 4);
    const unsigned target = at + 1 + static_cast<unsigned>(random_.below(furthest - at));
    Step push = code_.push_constant(0);
    push.fix = Step::Fix::kUnitAddress;
    push.field = 1;
    push.unit = target;
    if (random_.one_in(3)) return {push, code_.raw({kRetImm, 8, 0})};
    return {push, code_.raw({kRet})};
}

// CALL to what follows, whose return address is popped or dropped.
Unit BlockBranches::where_am_i(unsigned at) {
    Step call = code_.branch({kCall}, at);
    call.fix = Step::Fix::kNone;  // distance 0
    if (random_.one_in(2))
        return {call, code_.add_address(kRsp, block_.mode == CodeSize::k64 ? 8 : 4)};
    const unsigned reg = free_register(true);
    Step pop = reg >= 8 ? code_.raw({0x41, 0x58 | (reg & 7)}) : code_.raw({0x58 | reg});
    return {call, pop};
}

}  // namespace mynah::silicon
