// AES-128 [FIPS 197] with the processor's own instructions, chained blocks and counters.
#include "../measure.h"

#include <stdlib.h>
#include <string.h>
#include <wmmintrin.h>

enum { kBlocks = 4096 };

static __m128i data[kBlocks];

static int possible(void) { return __builtin_cpu_supports("aes"); }

#define TARGET __attribute__((target("aes,sse2")))

TARGET static __m128i next_key(__m128i key, __m128i assisted) {
    assisted = _mm_shuffle_epi32(assisted, 0xff);
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
    key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
    return _mm_xor_si128(key, assisted);
}

TARGET static void expand(__m128i keys[11], __m128i key) {
    keys[0] = key;
#define NEXT(round, constant) \
    keys[round] = next_key(keys[round - 1], _mm_aeskeygenassist_si128(keys[round - 1], constant))
    NEXT(1, 0x01);
    NEXT(2, 0x02);
    NEXT(3, 0x04);
    NEXT(4, 0x08);
    NEXT(5, 0x10);
    NEXT(6, 0x20);
    NEXT(7, 0x40);
    NEXT(8, 0x80);
    NEXT(9, 0x1b);
    NEXT(10, 0x36);
#undef NEXT
}

TARGET static __m128i encrypt(const __m128i keys[11], __m128i block) {
    block = _mm_xor_si128(block, keys[0]);
    for (int round = 1; round < 10; ++round) block = _mm_aesenc_si128(block, keys[round]);
    return _mm_aesenclast_si128(block, keys[10]);
}

TARGET static void four_counters(const __m128i keys[11], __m128i* blocks, uint64_t counter) {
    __m128i state[4];
    for (int i = 0; i < 4; ++i)
        state[i] = _mm_xor_si128(_mm_set_epi64x(7, (long long)(counter + (uint64_t)i)), keys[0]);
    for (int round = 1; round < 10; ++round)
        for (int i = 0; i < 4; ++i) state[i] = _mm_aesenc_si128(state[i], keys[round]);
    for (int i = 0; i < 4; ++i)
        blocks[i] = _mm_xor_si128(blocks[i], _mm_aesenclast_si128(state[i], keys[10]));
}

// FIPS 197, appendix C.1
TARGET static void check(void) {
    unsigned char key[16], plain[16], got[16];
    static const unsigned char wanted[16] = {0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30,
                                             0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a};
    for (int i = 0; i < 16; ++i) {
        key[i] = (unsigned char)i;
        plain[i] = (unsigned char)(i * 0x11);
    }
    __m128i keys[11];
    expand(keys, _mm_loadu_si128((const __m128i*)key));
    _mm_storeu_si128((__m128i*)got, encrypt(keys, _mm_loadu_si128((const __m128i*)plain)));
    if (memcmp(got, wanted, sizeof got) != 0) abort();
}

TARGET static uint64_t work(void) {
    check();
    __m128i keys[11], chain = _mm_setzero_si128();
    for (int i = 0; i < kBlocks; ++i) data[i] = _mm_set1_epi32(i * 77);
    for (int round = 0; round < 8; ++round) {
        expand(keys, _mm_set1_epi8((char)round));
        for (int i = 0; i < kBlocks; ++i)
            data[i] = chain = encrypt(keys, _mm_xor_si128(data[i], chain));
        for (int i = 0; i < kBlocks; i += 4) four_counters(keys, data + i, (uint64_t)i);
    }
    return checksum_of(data, sizeof data / 16);
}

PROGRAM_IF("compute", "AES", work, possible)
