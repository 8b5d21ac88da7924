#include "engine/translator/flag_recipe.h"

#include <limits>

#include "engine/interpreter/alu.h"
#include "engine/translator/frame.h"
#include "engine/translator/instruction_kind.h"
#include "engine/translator/translation.h"

namespace mynah::translator {
namespace {

using Kind = FlagRecipe::Kind;

// A general register by its low part.
bool is_low_register(const ZydisDecodedOperand& operand) {
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER || is_high_byte(operand.reg.value)) return false;
    switch (ZydisRegisterGetClass(operand.reg.value)) {
        case ZYDIS_REGCLASS_GPR8:
        case ZYDIS_REGCLASS_GPR16:
        case ZYDIS_REGCLASS_GPR32:
        case ZYDIS_REGCLASS_GPR64: return true;
        default: return false;
    }
}

Kind kind_of(ZydisMnemonic mnemonic) {
    switch (mnemonic) {
        case ZYDIS_MNEMONIC_CMP: return Kind::kCompare;
        case ZYDIS_MNEMONIC_TEST:
        // What TEST of the result with itself leaves is the same.
        case ZYDIS_MNEMONIC_AND:
        case ZYDIS_MNEMONIC_OR:
        case ZYDIS_MNEMONIC_XOR: return Kind::kTest;
        case ZYDIS_MNEMONIC_SUB: return Kind::kSub;
        case ZYDIS_MNEMONIC_ADD: return Kind::kAdd;
        case ZYDIS_MNEMONIC_NEG: return Kind::kNegate;
        default: return Kind::kNone;
    }
}

bool in_memory(uint8_t guest) {
    return guest != FlagRecipe::kImmediate && kHomeOf[guest] == kNoHostReg;
}

// One of the eight operations, or TEST, of any width.
class Operation {
  public:
    Operation(Emitter& e, unsigned width) : e_(e), width_(width) {}

    void alu(Alu op, HostReg to, HostReg from) const {
        prefixes(from, to);
        e_.byte(static_cast<unsigned>(op) << 3 | (width_ == 8 ? 0u : 1u));
        e_.modrm_reg(from, to);
    }
    void alu(Alu op, HostReg to, int32_t value) const {
        prefixes(kHostRax, to);
        e_.byte(width_ == 8 ? 0x80 : 0x81);
        e_.modrm_reg(static_cast<unsigned>(op), to);
        immediate(value);
    }
    void test(HostReg a, HostReg b) const {
        prefixes(b, a);
        e_.byte(width_ == 8 ? 0x84 : 0x85);
        e_.modrm_reg(b, a);
    }
    void test(HostReg a, int32_t value) const {
        prefixes(kHostRax, a);
        e_.byte(width_ == 8 ? 0xf6 : 0xf7);
        e_.modrm_reg(0, a);
        immediate(value);
    }
    void negate(HostReg reg) const {
        prefixes(kHostRax, reg);
        e_.byte(width_ == 8 ? 0xf6 : 0xf7);
        e_.modrm_reg(3, reg);
    }

  private:
    void prefixes(HostReg reg, HostReg rm) const {
        if (width_ == 16) e_.byte(0x66);
        e_.rex(width_ == 64, reg, 0, rm, width_ == 8);
    }
    void immediate(int32_t value) const {
        if (width_ == 8) {
            e_.byte(static_cast<unsigned>(value) & 0xffu);
        } else if (width_ == 16) {
            e_.word(static_cast<uint16_t>(value));
        } else {
            e_.dword(static_cast<uint32_t>(value));
        }
    }

    Emitter& e_;
    const unsigned width_;
};

template <typename T>
uint16_t evaluate_as(const FlagRecipe& recipe, uint64_t first, uint64_t second) {
    const T a = static_cast<T>(first), b = static_cast<T>(second);
    uint16_t flags = 0;
    switch (recipe.kind) {
        case Kind::kNone: break;
        case Kind::kCompare: interpreter::Cmp::run<T>(a, b, flags); break;
        case Kind::kTest: interpreter::And::run<T>(a, b, flags); break;
        case Kind::kSub: interpreter::Sub::run<T>(static_cast<T>(a + b), b, flags); break;
        case Kind::kAdd: interpreter::Add::run<T>(static_cast<T>(a - b), b, flags); break;
        case Kind::kNegate: interpreter::Sub::run<T>(0, static_cast<T>(0 - a), flags); break;
    }
    return flags;
}

}  // namespace

FlagRecipe recipe_of(const GuestInstruction& in) {
    FlagRecipe recipe{.kind = kind_of(in.mnemonic())};
    if (!recipe || touches_memory(in.decoded)) return {};
    const ZydisDecodedOperand& first = in.operand(0);
    if (!is_low_register(first)) return {};
    recipe.width = static_cast<uint8_t>(first.size);
    recipe.a = static_cast<uint8_t>(general_register(first.reg.value));
    const bool compares = in.mnemonic() == ZYDIS_MNEMONIC_CMP || in.mnemonic() == ZYDIS_MNEMONIC_TEST;
    if (recipe.kind == Kind::kNegate || (recipe.kind == Kind::kTest && !compares)) {
        recipe.b = recipe.a;
        return recipe;
    }
    const ZydisDecodedOperand& second = in.operand(1);
    if (second.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        recipe.b = FlagRecipe::kImmediate;
        recipe.immediate = static_cast<int32_t>(second.imm.value.s);
        if (recipe.width == 64 && recipe.immediate != second.imm.value.s) return {};
        if (!compares && recipe.immediate == std::numeric_limits<int32_t>::min()) return {};
        return recipe;
    }
    if (!is_low_register(second)) return {};
    recipe.b = static_cast<uint8_t>(general_register(second.reg.value));
    // There is one register to work with.
    if (in_memory(recipe.b) && (in_memory(recipe.a) || !compares)) return {};
    if (!compares && recipe.a == recipe.b) return {};
    // What was added is subtracted by one instruction more, of registers.
    if (recipe.kind == Kind::kAdd && in_memory(recipe.a)) return {};
    return recipe;
}

void emit_recipe(Emitter& e, const FlagRecipe& recipe, const Offsets& offsets, HostReg spare) {
    const Operation op(e, recipe.width);
    const bool immediate = recipe.b == FlagRecipe::kImmediate;
    const auto home = [&](uint8_t guest) {
        if (!in_memory(guest)) return kHomeOf[guest];
        e.load(spare, {.base = kFrameReg, .disp = offsets.gpr + 8 * int32_t{guest}});
        return spare;
    };
    const HostReg a = home(recipe.a);
    const HostReg b = immediate ? kNoHostReg : recipe.b == recipe.a ? a : home(recipe.b);
    switch (recipe.kind) {
        case Kind::kNone: break;
        case Kind::kCompare:
            if (immediate) op.alu(Alu::kCmp, a, recipe.immediate);
            else op.alu(Alu::kCmp, a, b);
            break;
        case Kind::kTest:
            if (immediate) op.test(a, recipe.immediate);
            else op.test(a, b);
            break;
        case Kind::kSub:
            if (immediate) {
                e.lea(spare, {.base = a, .disp = recipe.immediate});
                op.alu(Alu::kSub, spare, recipe.immediate);
            } else {
                e.lea(spare, {.base = a, .index = b});
                op.alu(Alu::kSub, spare, b);
            }
            break;
        case Kind::kAdd:
            if (immediate) {
                e.lea(spare, {.base = a, .disp = -recipe.immediate});
                op.alu(Alu::kAdd, spare, recipe.immediate);
            } else {
                e.mov(spare, a);
                e.alu(Alu::kSub, spare, b);
                op.alu(Alu::kAdd, spare, b);
            }
            break;
        case Kind::kNegate:
            e.mov(spare, a);
            op.negate(spare);
            op.negate(spare);
            break;
    }
}

uint16_t evaluate(const FlagRecipe& recipe, const uint64_t* gpr) {
    const uint64_t a = gpr[recipe.a];
    const uint64_t b = recipe.b == FlagRecipe::kImmediate
                           ? static_cast<uint64_t>(int64_t{recipe.immediate})
                           : gpr[recipe.b];
    switch (recipe.width) {
        case 8: return evaluate_as<uint8_t>(recipe, a, b);
        case 16: return evaluate_as<uint16_t>(recipe, a, b);
        case 32: return evaluate_as<uint32_t>(recipe, a, b);
        default: return evaluate_as<uint64_t>(recipe, a, b);
    }
}

}  // namespace mynah::translator
