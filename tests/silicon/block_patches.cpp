#include "silicon/block_patches.h"

#include <cstring>

#include "cpu/cpu_state.h"

namespace mynah::silicon {
namespace {

// Never pinned, whatever the mode.
constexpr unsigned kFree[] = {kRax, kRcx, kRdx};

}  // namespace

// Of five bytes each; none leaves a flag undefined.
std::array<uint8_t, 5> BlockPatches::five_bytes() {
    static constexpr uint8_t kWithEax[] = {0x05, 0x15, 0x1d, 0x2d, 0x3d};  // add adc sbb sub cmp
    const auto immediate = static_cast<uint32_t>(random_.integer());
    std::array<uint8_t, 5> code{};
    switch (random_.below(4)) {
        case 0: return {0x0f, 0x1f, 0x44, 0x00, 0x00};  // nop
        case 1: return {0xe9, 0x00, 0x00, 0x00, 0x00};  // jmp to what follows
        case 2: code[0] = static_cast<uint8_t>(0xb8 | kFree[random_.below(3)]); break;
        default: code[0] = kWithEax[random_.below(std::size(kWithEax))]; break;
    }
    std::memcpy(&code[1], &immediate, 4);
    return code;
}

Unit BlockPatches::patchable(const Patchable& which) {
    const unsigned reg = kFree[random_.below(3)];
    switch (which.kind) {
        case Patchable::Kind::kFiveBytes: {
            Step step;
            const auto code = five_bytes();
            std::memcpy(step.code.data(), code.data(), code.size());
            step.length = static_cast<uint8_t>(code.size());
            return {step};
        }
        case Patchable::Kind::kConstant: {
            const auto value = static_cast<uint32_t>(random_.integer());
            return {code_.raw({0x81, 0xc0 | reg, value & 0xff, value >> 8 & 0xff,
                               value >> 16 & 0xff, value >> 24})};
        }
        case Patchable::Kind::kDirection: break;
    }
    return {code_.raw({0xff, 0xc0 | reg})};  // inc
}

// An instruction with a 32-bit address that is the field of a patchable unit.
Step BlockPatches::field(std::initializer_list<unsigned> opcode, const Patchable& which,
                         unsigned into, uint32_t immediate, unsigned immediate_bytes) const {
    Step step;
    for (const unsigned byte : opcode) step.code[step.length++] = static_cast<uint8_t>(byte);
    // The last byte of the opcode is a ModRM byte of "disp32", which in 64-bit code needs a SIB.
    if (block_.mode == CodeSize::k64) {
        step.code[step.length - 1u] = static_cast<uint8_t>(step.code[step.length - 1u] & ~1u);
        step.code[step.length++] = 0x25;
    }
    step.fix = Step::Fix::kUnitField;
    step.field = step.length;
    step.unit = which.unit;
    step.into = into;
    step.linear = plan_.patch_through;
    step.length = static_cast<uint8_t>(step.length + 4);
    std::memcpy(&step.code[step.length], &immediate, immediate_bytes);
    step.length = static_cast<uint8_t>(step.length + immediate_bytes);
    return step;
}

Unit BlockPatches::patch() {
    const Patchable& which = plan_.patchable[random_.below(plan_.patchable.size())];
    switch (which.kind) {
        case Patchable::Kind::kConstant: return patch_constant(which);
        case Patchable::Kind::kFiveBytes: return patch_instruction(which);
        case Patchable::Kind::kDirection: break;
    }
    return {field({0x80, 0x35}, which, 1, 8, 1), code_.compare(kRax, kRdx)};  // xor byte, 8
}

Unit BlockPatches::patch_constant(const Patchable& which) {
    constexpr unsigned kImmediate = 2;
    const auto value = static_cast<uint32_t>(random_.integer());
    switch (random_.below(5)) {
        case 0: return {field({0xc7, 0x05}, which, kImmediate, value, 4)};       // mov
        case 1: return {field({0x81, 0x05}, which, kImmediate, value, 4)};       // add
        case 2: return {field({0x0f, 0xb1, 0x15}, which, kImmediate, 0, 0)};     // cmpxchg [], edx
        case 3: return {field({0xf0, 0x0f, 0xc1, 0x05}, which, kImmediate, 0, 0)};  // lock xadd
        default: break;
    }
    if (pinned(kRdi)) return {field({0x89, 0x0d}, which, kImmediate, 0, 0)};  // mov [], ecx
    Step address = code_.load(kRdi, 0);
    address.fix = Step::Fix::kUnitField;
    address.field = 1;
    address.unit = which.unit;
    address.into = kImmediate;
    address.linear = plan_.patch_through;
    return {code_.raw({0xfc}), address, code_.load(kRcx, 1 + random_.below(4)),
            code_.raw({0xf3, 0xaa})};  // rep stosb
}

Unit BlockPatches::patch_instruction(const Patchable& which) {
    const auto code = five_bytes();
    uint32_t first;
    std::memcpy(&first, code.data(), 4);
    return {field({0xc7, 0x05}, which, 0, first, 4), field({0xc6, 0x05}, which, 4, code[4], 1)};
}

}  // namespace mynah::silicon
