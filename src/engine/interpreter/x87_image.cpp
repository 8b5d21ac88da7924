#include "engine/interpreter/x87_image.h"

#include <cpuid.h>

#include <cstring>

#include "base/bits.h"
#include "engine/interpreter/fpu_state.h"

namespace mynah::interpreter {
namespace {

constexpr unsigned kFcw = 0, kFsw = 2, kTags = 4, kFop = 6, kFip = 8, kFdp = 16, kSt0 = 32;

// The processor's FIP is as wide as linear addresses are and reads sign-extended; FDP has 64 bits.
uint64_t fip_from(uint64_t value) {
    static const unsigned missing_bits = [] {
        unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
        constexpr unsigned kSizes = 0x80000008;
        const bool told = __get_cpuid(kSizes, &eax, &ebx, &ecx, &edx) != 0;
        return 64 - (told ? eax >> 8 & 0xff : 48);
    }();
    return static_cast<uint64_t>(static_cast<int64_t>(value << missing_bits) >> missing_bits);
}

}  // namespace

void x87_to_image(const X87State& x87, std::span<std::byte, kFxsaveX87Bytes> image, bool wide) {
    const uint64_t pointer_mask = wide ? ~uint64_t{0} : 0xffffffff;
    std::byte* to = image.data();
    store_unaligned(to + kFcw, x87.fcw);
    store_unaligned(to + kFsw, x87.fsw);
    store_unaligned(to + kTags, uint16_t{x87.tags});
    store_unaligned(to + kFop, x87.fop);
    store_unaligned(to + kFip, x87.fip & pointer_mask);  // FCS and FDS are zero
    store_unaligned(to + kFdp, x87.fdp & pointer_mask);
    for (unsigned i = 0; i < 8; ++i) std::memcpy(to + kSt0 + 16 * i, &x87.st(i), 16);
}

void x87_from_image(X87State& x87, std::span<const std::byte, kFxsaveX87Bytes> image, bool wide) {
    const uint64_t pointer_mask = wide ? ~uint64_t{0} : 0xffffffff;
    const std::byte* from = image.data();
    x87.fcw = static_cast<uint16_t>((load_unaligned<uint16_t>(from + kFcw) & 0x1f3f) | 0x40);
    x87.fsw = load_unaligned<uint16_t>(from + kFsw);
    x87.tags = load_unaligned<uint8_t>(from + kTags);
    x87.fop = load_unaligned<uint16_t>(from + kFop) & 0x7ff;
    x87.fip = fip_from(load_unaligned<uint64_t>(from + kFip) & pointer_mask);
    x87.fdp = load_unaligned<uint64_t>(from + kFdp) & pointer_mask;
    for (unsigned i = 0; i < 8; ++i) {
        X87State::Register& value = x87.st(i);
        value.significand = load_unaligned<uint64_t>(from + kSt0 + 16 * i);
        value.sign_exponent = load_unaligned<uint16_t>(from + kSt0 + 16 * i + 8);
    }
    update_error_summary(x87);
}

}  // namespace mynah::interpreter
