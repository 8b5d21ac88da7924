#include "sha256_block.h"

#include <string.h>

// The fractional parts of the cube roots of the first 64 primes [FIPS 180-4 4.2.2], by integer
// arithmetic: floor(cbrt(p) * 2^32) modulo 2^32.
static uint32_t constant(uint32_t prime) {
    unsigned __int128 low = 0, high = (unsigned __int128)8 << 32;
    const unsigned __int128 target = (unsigned __int128)prime << 96;
    while (high - low > 1) {
        const unsigned __int128 middle = (low + high) / 2;
        if (middle * middle * middle <= target)
            low = middle;
        else
            high = middle;
    }
    return (uint32_t)low;
}

void sha256_constants(uint32_t constants[64]) {
    int found = 0;
    for (uint32_t number = 2; found < 64; ++number) {
        int prime = 1;
        for (uint32_t divisor = 2; divisor * divisor <= number; ++divisor)
            if (number % divisor == 0) prime = 0;
        if (prime) constants[found++] = constant(number);
    }
}

static uint32_t round_constants[64];

static uint32_t rotate(uint32_t value, int bits) { return value >> bits | value << (32 - bits); }

static void block(uint32_t hash[8], const unsigned char* bytes) {
    uint32_t w[64];
    for (int i = 0; i < 16; ++i) {
        memcpy(&w[i], bytes + 4 * i, 4);
        w[i] = __builtin_bswap32(w[i]);
    }
    for (int i = 16; i < 64; ++i) {
        const uint32_t x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + w[i - 7] +
               (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
    }
    uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3];
    uint32_t e = hash[4], f = hash[5], g = hash[6], h = hash[7];
    for (int i = 0; i < 64; ++i) {
        const uint32_t first = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                               ((e & f) ^ (~e & g)) + round_constants[i] + w[i];
        const uint32_t second =
            (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + first;
        d = c, c = b, b = a, a = first + second;
    }
    const uint32_t added[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; ++i) hash[i] += added[i];
}

void sha256_blocks(uint32_t hash[8], const unsigned char* bytes, size_t size) {
    if (round_constants[0] == 0) sha256_constants(round_constants);
    for (size_t at = 0; at < size; at += 64) block(hash, bytes + at);
}
