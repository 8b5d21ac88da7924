// SHA-256 [FIPS 180-4] of 512 KiB in plain C, without the processor's own instructions for it.
#include "measure.h"

#include <string.h>

#define SIZE (512u << 10)

const char* const kName = "sha256";

static unsigned char data[SIZE];

// The fractional parts of the cube roots of the first 64 primes [FIPS 180-4 4.2.2], by integer
// arithmetic: floor(cbrt(p) * 2^32) modulo 2^32.
static uint32_t constant(uint32_t prime) {
    unsigned __int128 low = 0, high = (unsigned __int128)8 << 32;
    const unsigned __int128 target = (unsigned __int128)prime << 96;
    while (high - low > 1) {
        const unsigned __int128 middle = (low + high) / 2;
        if (middle * middle * middle <= target) low = middle; else high = middle;
    }
    return (uint32_t)low;
}

static uint32_t round_constants[64];

static void prepare(void) {
    int found = 0;
    for (uint32_t number = 2; found < 64; ++number) {
        int prime = 1;
        for (uint32_t divisor = 2; divisor * divisor <= number; ++divisor)
            if (number % divisor == 0) prime = 0;
        if (prime) round_constants[found++] = constant(number);
    }
    for (uint32_t i = 0; i < SIZE; ++i) data[i] = (unsigned char)(i * 7 + (i >> 8));
}

static uint32_t rotate(uint32_t value, int bits) { return value >> bits | value << (32 - bits); }

static void block(uint32_t hash[8], const unsigned char* bytes) {
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; ++i) {
        memcpy(&w[i], bytes + 4 * i, 4);
        w[i] = __builtin_bswap32(w[i]);
    }
    for (int i = 16; i < 64; ++i) {
        const uint32_t x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + w[i - 7] +
               (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
    }
    memcpy(s, hash, sizeof s);
    for (int i = 0; i < 64; ++i) {
        const uint32_t first = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                               ((s[4] & s[5]) ^ (~s[4] & s[6])) + round_constants[i] + w[i];
        const uint32_t second = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                                ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof s[0]);
        s[4] += first;
        s[0] = first + second;
    }
    for (int i = 0; i < 8; ++i) hash[i] += s[i];
}

uint64_t work(const char* argv0) {
    (void)argv0;
    if (round_constants[0] == 0) prepare();
    uint32_t hash[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    for (uint32_t at = 0; at < SIZE; at += 64) block(hash, data + at);
    return (uint64_t)hash[0] << 32 | hash[1];
}
