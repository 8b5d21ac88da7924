#include "silicon/block_fields.h"

#include <cstring>

#include "cpu/cpu_state.h"

namespace mynah::silicon {
namespace {

// An instruction with a memory operand and a register. None leaves a flag undefined.
struct Access {
    uint8_t prefix;  // 0: none
    uint8_t escape;  // 0, or 0F
    uint8_t opcode;
    bool byte;       // the register is one of a byte
    bool wide;       // with REX.W where there is one
    bool vector;
};
constexpr Access kAccesses[] = {
    {0, 0, 0x8b, false, true, false},     {0, 0, 0x89, false, true, false},    // mov
    {0, 0, 0x8b, false, false, false},    {0, 0, 0x89, false, false, false},
    {0, 0, 0x8a, true, false, false},     {0, 0, 0x88, true, false, false},
    {0x66, 0, 0x8b, false, false, false}, {0x66, 0, 0x89, false, false, false},
    {0, 0, 0x03, false, true, false},     {0, 0, 0x01, false, true, false},    // add
    {0, 0, 0x13, false, false, false},    {0, 0, 0x11, false, false, false},   // adc
    {0, 0, 0x2b, false, false, false},    {0, 0, 0x29, false, true, false},    // sub
    {0, 0, 0x1a, true, false, false},     {0, 0, 0x18, true, false, false},    // sbb
    {0, 0, 0x3b, false, true, false},     {0, 0, 0x39, false, false, false},   // cmp
    {0, 0, 0x38, true, false, false},     {0, 0, 0x86, true, false, false},    // cmp, xchg
    {0, 0, 0x87, false, true, false},     {0, 0x0f, 0xc1, false, true, false}, // xchg, xadd
    {0xf0, 0x0f, 0xc1, false, false, false},
    {0xf0, 0, 0x01, false, true, false},  {0, 0x0f, 0xb6, false, true, false}, // movzx
    {0, 0x0f, 0xbf, false, true, false},  {0, 0x0f, 0x44, false, true, false}, // movsx, cmove
    {0, 0x0f, 0xb1, false, true, false},                                       // cmpxchg
    {0, 0x0f, 0x10, false, false, true},  {0, 0x0f, 0x11, false, false, true}, // movups
    {0x66, 0x0f, 0x6f, false, false, true}, {0xf3, 0x0f, 0x7f, false, false, true},
    {0xf2, 0x0f, 0x58, false, false, true}, {0xf2, 0x0f, 0x10, false, false, true},
    {0xf2, 0x0f, 0x11, false, false, true}, {0x66, 0x0f, 0xd6, false, false, true},
};

}  // namespace

// Not one that the block relies on.
unsigned BlockFields::register_for(bool byte) {
    const bool code64 = block_.mode == CodeSize::k64;
    for (;;) {
        auto reg = static_cast<unsigned>(random_.below(code64 ? 16 : 8));
        if (byte && !code64) reg &= 3;  // the low bytes
        if ((plan_.surroundings.pinned >> reg & 1) == 0) return reg;
    }
}

int32_t BlockFields::displacement() {
    switch (random_.below(6)) {
        case 0: return static_cast<int32_t>(random_.below(0x400)) - 0x200;
        case 1: return static_cast<int32_t>(random_.below(0x1800)) - 0x800;
        default: return static_cast<int32_t>(8 * random_.below(16)) - 0x20;
    }
}

Step BlockFields::field_access(unsigned base, int32_t displacement) {
    const Access& access = kAccesses[random_.below(std::size(kAccesses))];
    const bool code64 = block_.mode == CodeSize::k64;
    const unsigned reg = access.vector ? static_cast<unsigned>(random_.below(code64 ? 16 : 8))
                                       : register_for(access.byte);
    Step step;
    const auto add = [&step](unsigned byte) {
        step.code[step.length++] = static_cast<uint8_t>(byte);
    };
    if (access.prefix != 0) add(access.prefix);
    const bool wide = access.wide && !random_.one_in(3);
    if (code64) add(0x40 | (wide ? 8u : 0u) | (reg >> 3) << 2 | base >> 3);
    if (access.escape != 0) add(access.escape);
    add(access.opcode);
    const bool near = displacement == static_cast<int8_t>(displacement);
    add((near ? 0x40u : 0x80u) | (reg & 7) << 3 | (base & 7));
    if ((base & 7) == kRsp) add(0x24);
    std::memcpy(&step.code[step.length], &displacement, 4);
    step.length = static_cast<uint8_t>(step.length + (near ? 1 : 4));
    return step;
}

Unit BlockFields::make() {
    const unsigned base = plan_.anchors[random_.below(plan_.anchors.size())];
    Unit unit;
    bool moved = false;
    for (uint64_t i = 2 + random_.below(6); i > 0; --i) {
        unit.push_back(field_access(base, displacement()));
        if (random_.one_in(10)) {
            unit.push_back(code_.add_address(base, static_cast<int8_t>(random_.below(200))));
            moved = true;
        }
    }
    // By its first value; what walks goes on doing so from there.
    if (moved) unit.push_back(code_.load(base, block_.before.gpr[base]));
    return unit;
}

}  // namespace mynah::silicon
