#include "silicon/block_code.h"

#include <cstring>

#include "base/bits.h"

namespace mynah::silicon {
namespace {

void add(Step& step, unsigned byte) {
    step.code[step.length++] = static_cast<uint8_t>(byte);
}
template <typename T>
void add_value(Step& step, T value) {
    std::memcpy(&step.code[step.length], &value, sizeof value);
    step.length = static_cast<uint8_t>(step.length + sizeof value);
}

Step branch_step(std::initializer_list<unsigned> opcode, unsigned unit, Step::Fix fix,
                 unsigned size) {
    Step step;
    for (const unsigned byte : opcode) add(step, byte);
    step.fix = fix;
    step.field = step.length;
    step.unit = unit;
    step.length = static_cast<uint8_t>(step.length + size);
    return step;
}

}  // namespace

Step BlockCode::raw(std::initializer_list<unsigned> bytes) const {
    Step step;
    for (const unsigned byte : bytes) add(step, byte);
    return step;
}

// Register to register.
Step BlockCode::with_modrm(std::initializer_list<unsigned> opcode, unsigned reg, unsigned rm,
                           bool wide) const {
    Step step;
    const unsigned rex = (wide ? 8u : 0u) | (reg >> 3) << 2 | rm >> 3;
    if (code64_ && rex != 0) add(step, 0x40 | rex);
    for (const unsigned byte : opcode) add(step, byte);
    add(step, 0xc0 | (reg & 7) << 3 | (rm & 7));
    return step;
}

// With an absolute 32-bit address.
Step BlockCode::with_address(std::initializer_list<unsigned> opcode, unsigned reg, uint64_t linear,
                             bool wide) const {
    Step step;
    const unsigned rex = (wide ? 8u : 0u) | (reg >> 3) << 2;
    if (code64_ && rex != 0) add(step, 0x40 | rex);
    for (const unsigned byte : opcode) add(step, byte);
    if (code64_) {
        add(step, (reg & 7) << 3 | 4);
        add(step, 0x25);
    } else {
        add(step, (reg & 7) << 3 | 5);
    }
    add_value(step, static_cast<uint32_t>(linear));
    return step;
}

Step BlockCode::load(unsigned reg, uint64_t value) const {
    Step step;
    if (!code64_ || value <= 0xffffffff) {
        if (reg >= 8) add(step, 0x41);
        add(step, 0xb8 | (reg & 7));
        add_value(step, static_cast<uint32_t>(value));
    } else if (sign_extend(value, 32) == value) {
        add(step, 0x48 | reg >> 3);
        add(step, 0xc7);
        add(step, 0xc0 | (reg & 7));
        add_value(step, static_cast<uint32_t>(value));
    } else {
        add(step, 0x48 | reg >> 3);
        add(step, 0xb8 | (reg & 7));
        add_value(step, value);
    }
    return step;
}

Step BlockCode::load_unit(unsigned reg, unsigned unit) const {
    Step step = load(reg, 0);
    step.fix = Step::Fix::kUnitAddress;
    step.field = static_cast<uint8_t>(step.length - 4);
    step.unit = unit;
    return step;
}

Step BlockCode::load_index(unsigned reg, unsigned unit) const {
    Step step = load_unit(reg, unit);
    step.fix = Step::Fix::kUnitIndex;
    return step;
}

Step BlockCode::load_from(unsigned reg, uint64_t linear) const {
    return with_address({0x8b}, reg, linear, true);
}
Step BlockCode::store_to(uint64_t linear, unsigned reg) const {
    return with_address({0x89}, reg, linear, true);
}

Step BlockCode::load_vector(unsigned reg, uint64_t linear) const {
    const unsigned inverted_r = reg >= 8 ? 0u : 0x80u;
    Step step = with_address({0xc5, inverted_r | 0x7e, 0x6f}, reg & 7, linear, false);
    return step;
}

Step BlockCode::add_address(unsigned reg, int8_t distance) const {
    Step step;
    if (code64_) add(step, reg >= 8 ? 0x4d : 0x48);
    add(step, 0x8d);
    add(step, 0x40 | (reg & 7) << 3 | (reg & 7));
    if ((reg & 7) == 4) add(step, 0x24);
    add(step, static_cast<uint8_t>(distance));
    return step;
}

Step BlockCode::compare(unsigned reg, unsigned with) const {
    return with_modrm({0x39}, with, reg, true);
}
Step BlockCode::decrement(unsigned reg) const { return with_modrm({0xff}, 1, reg, true); }

Step BlockCode::push_constant(uint32_t value) const {
    Step step = raw({0x68});
    add_value(step, value);
    return step;
}

Step BlockCode::branch(std::initializer_list<unsigned> opcode, unsigned unit) const {
    return branch_step(opcode, unit, Step::Fix::kNearBranch, 4);
}
Step BlockCode::short_branch(std::initializer_list<unsigned> opcode, unsigned unit) const {
    return branch_step(opcode, unit, Step::Fix::kShortBranch, 1);
}

Step BlockCode::through_register(bool call, unsigned reg) const {
    return with_modrm({0xff}, call ? 2 : 4, reg, false);
}
Step BlockCode::through_slot(bool call, unsigned unit) const {
    Step step = with_address({0xff}, call ? 2 : 4, 0, false);
    step.fix = Step::Fix::kUnitSlot;
    step.field = static_cast<uint8_t>(step.length - 4);
    step.unit = unit;
    return step;
}
Step BlockCode::through_table(bool call, unsigned index) const {
    Step step;
    if (index >= 8) add(step, 0x42);
    add(step, 0xff);
    add(step, (call ? 2u : 4u) << 3 | 4);
    add(step, 0xc5 | (index & 7) << 3);  // scale 8, no base
    add_value(step, static_cast<uint32_t>(kUnitTable));
    return step;
}

}  // namespace mynah::silicon
