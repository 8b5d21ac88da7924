// FNSTENV, FLDENV, FNSAVE, FRSTOR in their four layouts [SDM 1 figures 8-9 to 8-12].

#include <array>
#include <cstring>

#include "base/bits.h"
#include "engine/interpreter/fpu_state.h"

namespace mynah::interpreter {
namespace {

constexpr unsigned kRegisterBytes = 10, kMaxEnvironment = 28;
constexpr unsigned kMaxSave = kMaxEnvironment + 8 * kRegisterBytes;

// Which of the layouts: op.aux is 1 for the 32-bit ones. Virtual-8086 mode counts as real mode.
bool is_32bit(const Op& op) { return op.aux != 0; }
unsigned environment_bytes(const Op& op) { return is_32bit(op) ? 28 : 14; }

// The two tag bits of a register that is not empty.
unsigned tag_of(const X87State::Register& value) {
    constexpr unsigned kValid = 0, kZero = 1, kSpecial = 2;
    const unsigned exponent = value.sign_exponent & 0x7fff;
    if (exponent == 0 && value.significand == 0) return kZero;
    const bool integer_bit = (value.significand >> 63) != 0;
    return exponent == 0 || exponent == 0x7fff || !integer_bit ? kSpecial : kValid;
}

uint16_t full_tag_word(const X87State& x87) {
    unsigned tags = 0;
    for (unsigned physical = 0; physical < 8; ++physical) {
        constexpr unsigned kEmpty = 3;
        const bool used = (x87.tags >> physical & 1) != 0;
        const unsigned tag = used ? tag_of(x87.physical[physical]) : kEmpty;
        tags |= tag << (2 * physical);
    }
    return static_cast<uint16_t>(tags);
}

uint8_t abridged_tags(uint16_t full) {
    unsigned tags = 0;
    for (unsigned physical = 0; physical < 8; ++physical) {
        if ((full >> (2 * physical) & 3) != 3) tags |= 1u << physical;
    }
    return static_cast<uint8_t>(tags);
}

// FCS and FDS are always stored as zero.
std::array<uint32_t, 7> environment_words(const Core& core, bool wide) {
    const X87State& x87 = core.s.x87;
    const auto fip = static_cast<uint32_t>(x87.fip);
    const auto fdp = static_cast<uint32_t>(x87.fdp);
    const uint32_t fop = x87.fop & 0x7ffu;
    if (core.mode.protected_mode) {
        return {x87.fcw, x87.fsw, full_tag_word(x87), fip, fop << 16, fdp, 0};
    }
    const uint32_t mask = wide ? 0x0ffff000u : 0xf000u;
    return {x87.fcw, x87.fsw, full_tag_word(x87), fip & 0xffff,
            ((fip >> 16 << 12) & mask) | fop, fdp & 0xffff, (fdp >> 16 << 12) & mask};
}

void write_environment(const Core& core, const Op& op, std::byte* to) {
    const std::array<uint32_t, 7> words = environment_words(core, is_32bit(op));
    for (unsigned i = 0; i < words.size(); ++i) {
        if (is_32bit(op)) {
            // The unused upper halves are ones; words 3 and 5 are full, 4 and real mode's 6 have
            // bits up there.
            const bool half = i < 3 || i == 6;
            const bool real_pointer = !core.mode.protected_mode && i == 6;
            uint32_t value = words[i];
            if (half && !real_pointer) value |= 0xffff0000;
            if (!core.mode.protected_mode && (i == 3 || i == 5)) value |= 0xffff0000;
            store_unaligned<uint32_t>(to + 4 * i, value);
        } else {
            store_unaligned<uint16_t>(to + 2 * i, static_cast<uint16_t>(words[i]));
        }
    }
}

uint32_t environment_word(const Op& op, const std::byte* from, unsigned index) {
    return is_32bit(op) ? load_unaligned<uint32_t>(from + 4 * index)
                        : load_unaligned<uint16_t>(from + 2 * index);
}

void read_environment(Core& core, const Op& op, const std::byte* from) {
    X87State& x87 = core.s.x87;
    const auto word = [&](unsigned index) { return environment_word(op, from, index); };
    x87.fcw = static_cast<uint16_t>((word(0) & 0x1f3f) | 0x40);
    x87.fsw = static_cast<uint16_t>(word(1));
    x87.tags = abridged_tags(static_cast<uint16_t>(word(2)));
    if (core.mode.protected_mode) {
        x87.fip = word(3);
        x87.fdp = word(5);
        x87.fop = is_32bit(op) ? static_cast<uint16_t>(word(4) >> 16 & 0x7ff) : uint16_t{0};
    } else {
        const uint32_t high = is_32bit(op) ? 0x0ffff000u : 0xf000u;
        x87.fip = (word(3) & 0xffff) | (word(4) & high) << 4;
        x87.fdp = (word(5) & 0xffff) | (word(6) & high) << 4;
        x87.fop = static_cast<uint16_t>(word(4) & 0x7ff);
    }
    update_error_summary(x87);
}

// The image's linear address, aligned like its words.
bool image_linear(Core& core, const Op& op, unsigned size, AccessKind kind, uint64_t& linear) {
    if (!core.operand_linear(op, size, kind, linear)) return false;
    const bool aligned = (linear & (is_32bit(op) ? 3u : 1u)) == 0;
    return aligned || !core.alignment_checked() || core.raised(Exception::ac());
}

bool not_available(Core& core) {
    if ((core.s.cr0 & (x86::cr0::kEm | x86::cr0::kTs)) == 0) return false;
    core.raised(Exception::nm());
    return true;
}

Outcome fnstenv(Core& core, const Op& op) {
    if (not_available(core)) return Outcome::kFault;
    std::array<std::byte, kMaxEnvironment> image;
    write_environment(core, op, image.data());
    uint64_t linear = 0;
    const unsigned size = environment_bytes(op);
    if (!image_linear(core, op, size, AccessKind::kWrite, linear) ||
        !core.store_bytes(linear, image.data(), size)) {
        return Outcome::kFault;
    }
    core.s.x87.fcw |= kX87Exceptions;
    update_error_summary(core.s.x87);
    return Outcome::kNext;
}

Outcome fnsave(Core& core, const Op& op) {
    if (not_available(core)) return Outcome::kFault;
    std::array<std::byte, kMaxSave> image;
    write_environment(core, op, image.data());
    const unsigned start = environment_bytes(op), size = start + 8 * kRegisterBytes;
    for (unsigned i = 0; i < 8; ++i) {
        std::memcpy(image.data() + start + i * kRegisterBytes, &core.s.x87.st(i), kRegisterBytes);
    }
    uint64_t linear = 0;
    if (!image_linear(core, op, size, AccessKind::kWrite, linear) ||
        !core.store_bytes(linear, image.data(), size)) {
        return Outcome::kFault;
    }
    initialise_x87(core.s.x87);
    return Outcome::kNext;
}

// Checks and loads `size` bytes of the operand.
bool load_image(Core& core, const Op& op, std::byte* to, unsigned size) {
    if (not_available(core)) return false;
    if ((core.s.x87.fsw & kX87ErrorSummary) != 0) return core.raised(Exception::mf());
    uint64_t linear = 0;
    return image_linear(core, op, size, AccessKind::kRead, linear) &&
           core.load_bytes(linear, to, size);
}

Outcome fldenv(Core& core, const Op& op) {
    std::array<std::byte, kMaxEnvironment> image;
    if (!load_image(core, op, image.data(), environment_bytes(op))) return Outcome::kFault;
    read_environment(core, op, image.data());
    return Outcome::kNext;
}

Outcome frstor(Core& core, const Op& op) {
    std::array<std::byte, kMaxSave> image;
    const unsigned start = environment_bytes(op), size = start + 8 * kRegisterBytes;
    if (!load_image(core, op, image.data(), size)) return Outcome::kFault;
    read_environment(core, op, image.data());
    for (unsigned i = 0; i < 8; ++i) {
        std::memcpy(static_cast<void*>(&core.s.x87.st(i)),
                    image.data() + start + i * kRegisterBytes, kRegisterBytes);
    }
    return Outcome::kNext;
}

template <Handler handler>
bool build_as(Build& build) {
    build.op.handler = handler;
    build.op.aux = build.operand_bits() != 16;
    return true;
}

}  // namespace

void add_x87_environment(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_FNSTENV] = build_as<fnstenv>;
    table[ZYDIS_MNEMONIC_FLDENV] = build_as<fldenv>;
    table[ZYDIS_MNEMONIC_FNSAVE] = build_as<fnsave>;
    table[ZYDIS_MNEMONIC_FRSTOR] = build_as<frstor>;
}

}  // namespace mynah::interpreter
