#include "silicon/random.h"

#include <cstring>

#include "base/bits.h"

namespace mynah::silicon {

uint64_t Random::integer() {
    static constexpr uint64_t kEdges[] = {
        0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
        0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff,
        0xffffffffffffff80, 0xffffffffffff8000, 0xffffffff80000000, 0x5555555555555555,
        0xaaaaaaaaaaaaaaaa, 0x9999999999999999};
    switch (below(6)) {
        case 0:
        case 1: return kEdges[below(std::size(kEdges))];
        case 2: return below(80);
        case 3: return bit(static_cast<unsigned>(below(64))) - below(2);
        default: return next();
    }
}

uint64_t Random::floating(unsigned exponent_bits, unsigned fraction_bits) {
    const uint64_t all_ones = low_mask(exponent_bits);
    const uint64_t bias = all_ones >> 1;
    uint64_t exponent = 0, fraction = next() & low_mask(fraction_bits);
    if (one_in(3)) fraction = 0;
    if (one_in(8)) fraction = low_mask(fraction_bits);
    switch (below(10)) {
        case 0: exponent = 0; break;  // zero and denormals
        case 1: exponent = all_ones; break;
        case 2: exponent = 1; break;
        case 3: exponent = all_ones - 1; break;
        case 4: exponent = below(all_ones + 1); break;
        default: exponent = bias + below(70) - 35; break;
    }
    return (next() & 1) << (exponent_bits + fraction_bits) |
           (exponent & all_ones) << fraction_bits | fraction;
}

void Random::fill(std::span<std::byte> bytes) {
    const uint64_t kind = below(7);
    for (size_t at = 0; at < bytes.size(); at += 8) {
        uint64_t value = 0;
        switch (kind) {
            case 0: value = floating(8, 23) | floating(8, 23) << 32; break;
            case 1: value = floating(11, 52); break;
            case 2: value = integer(); break;
            case 3: value = (integer() & 0xffffffff) | integer() << 32; break;
            case 4:
                for (unsigned shift = 0; shift < 64; shift += 16) value |= floating(5, 10) << shift;
                break;
            case 5:
                for (unsigned shift = 0; shift < 64; shift += 8)
                    value |= (integer() & 0xff) << shift;
                break;
            default: value = next(); break;
        }
        const size_t size = bytes.size() - at < 8 ? bytes.size() - at : 8;
        std::memcpy(bytes.data() + at, &value, size);
    }
}

void Random::extended(std::span<std::byte, 10> bytes) {
    const uint64_t number = floating(15, 48);  // sign, exponent and the significand's upper part
    uint64_t significand = (number & low_mask(48)) << 15 | (next() & low_mask(15));
    if (one_in(3)) significand = 0;
    const auto sign_exponent = static_cast<uint16_t>(number >> 48);
    if ((sign_exponent & 0x7fff) != 0) significand |= bit(63);
    if (one_in(16)) significand ^= bit(63);  // unnormals and pseudo-denormals
    if (one_in(4)) {                         // an integer
        const uint64_t value = integer() | 1;
        const auto shift = static_cast<unsigned>(std::countl_zero(value));
        significand = value << shift;
        const auto exponent = static_cast<uint16_t>((16383 + 63 - shift) | (next() & 0x8000));
        std::memcpy(bytes.data() + 8, &exponent, 2);
        std::memcpy(bytes.data(), &significand, 8);
        return;
    }
    std::memcpy(bytes.data(), &significand, 8);
    std::memcpy(bytes.data() + 8, &sign_exponent, 2);
}

}  // namespace mynah::silicon
