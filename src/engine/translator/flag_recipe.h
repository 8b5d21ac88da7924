#pragma once

#include <cstdint>

#include "engine/translator/emitter.h"

namespace mynah::translator {

struct GuestInstruction;
struct Offsets;

// How the arithmetic flags that an instruction left can be had once more, from registers as they
// are behind it: by the same comparison again, or from the result. While there is such a way, the
// translator's own checks may destroy the flags; whoever wants them after all makes them again:
// emitted code before an instruction that reads them, C++ where an access faults.
struct [[gnu::packed]] FlagRecipe {
    enum class Kind : uint8_t {
        kNone,
        kCompare,  // CMP a, b
        kTest,     // TEST a, b
        kSub,      // a is what b was taken from
        kAdd,      // a is what b was added to
        kNegate,   // a was negated
    };
    static constexpr uint8_t kImmediate = 0xff;

    Kind kind = Kind::kNone;
    uint8_t width = 0;  // bits
    uint8_t a = 0;      // guest registers by number
    uint8_t b = 0;      // or kImmediate
    int32_t immediate = 0;

    explicit operator bool() const { return kind != Kind::kNone; }
    bool uses(unsigned guest) const {
        return kind != Kind::kNone && (a == guest || b == guest);
    }
};
static_assert(sizeof(FlagRecipe) == 8);

// Of an instruction whose operands are all in registers; kNone if there is no way.
FlagRecipe recipe_of(const GuestInstruction& instruction);

// Writes code that leaves the flags in the host's. Changes `spare` and no other register.
void emit_recipe(Emitter& emitter, const FlagRecipe& recipe, const Offsets& offsets, HostReg spare);

// The flags as Flags::arithmetic has them.
uint16_t evaluate(const FlagRecipe& recipe, const uint64_t* gpr);

}  // namespace mynah::translator
