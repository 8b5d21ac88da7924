#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace mynah::silicon {

// A small generator (splitmix64): the same sequence everywhere for the same seed.
class Random {
 public:
    explicit Random(uint64_t seed) : state_(seed) {}

    uint64_t next() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    uint64_t below(uint64_t bound) { return next() % bound; }
    bool one_in(uint64_t n) { return below(n) == 0; }

    // An integer as programs have them: edges of every width, small ones, any bits.
    uint64_t integer();
    // Fills bytes with values of one kind: integers of some width, single or double floating-point
    // numbers (zeros, denormals, infinities, NaNs and ordinary ones among them), any bits.
    void fill(std::span<std::byte> bytes);
    // An 80-bit number, of every class and of the unsupported formats.
    void extended(std::span<std::byte, 10> bytes);

 private:
    uint64_t floating(unsigned exponent_bits, unsigned fraction_bits);
    uint64_t state_;
};

}  // namespace mynah::silicon
