// SHA-256 of 2 MiB with the processor's own instructions for it.
#include "../measure.h"
#include "sha256_block.h"

#include <cpuid.h>
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#define SIZE (256u << 10)
#define TARGET __attribute__((target("sha,ssse3,sse4.1")))

static unsigned char data[SIZE];
static uint32_t constants[64];

static int possible(void) {
    uint32_t a, b, c, d;
    return __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (b >> 29 & 1);
}

// The instructions hold the state as ABEF and CDGH [SDM 2B SHA256RNDS2].
TARGET static void blocks(uint32_t hash[8], const unsigned char* bytes, size_t size) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bll, 0x0405060700010203ll);
    __m128i abef = _mm_set_epi32((int)hash[0], (int)hash[1], (int)hash[4], (int)hash[5]);
    __m128i cdgh = _mm_set_epi32((int)hash[2], (int)hash[3], (int)hash[6], (int)hash[7]);
    for (size_t at = 0; at < size; at += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; ++i)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i*)(bytes + at + 16 * i)), swap);
        for (int four = 0; four < 16; ++four) {
            const __m128i word = w[four & 3];
            __m128i sum =
                _mm_add_epi32(word, _mm_loadu_si128((const __m128i*)(constants + 4 * four)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
            // The words sixteen rounds later take the place of these.
            const __m128i one = w[(four + 1) & 3], two = w[(four + 2) & 3],
                          three = w[(four + 3) & 3];
            __m128i next = _mm_sha256msg1_epu32(word, one);
            next = _mm_add_epi32(next, _mm_alignr_epi8(three, two, 4));
            w[four & 3] = _mm_sha256msg2_epu32(next, three);
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    uint32_t high[4], low[4];
    memcpy(high, &abef, sizeof high);
    memcpy(low, &cdgh, sizeof low);
    const uint32_t all[8] = {high[3], high[2], low[3], low[2], high[1], high[0], low[1], low[0]};
    memcpy(hash, all, sizeof all);
}

static const uint32_t kInitial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static void prepare(void) {
    for (uint32_t i = 0; i < SIZE; ++i) data[i] = (unsigned char)(i * 7 + (i >> 8));
    sha256_constants(constants);
    uint32_t wanted[8], got[8];
    memcpy(wanted, kInitial, sizeof wanted);
    memcpy(got, kInitial, sizeof got);
    sha256_blocks(wanted, data, 4096);
    blocks(got, data, 4096);
    if (memcmp(wanted, got, sizeof got) != 0) abort();
}

static uint64_t work(void) {
    if (constants[0] == 0) prepare();
    uint32_t hash[8];
    memcpy(hash, kInitial, sizeof hash);
    for (int round = 0; round < 8; ++round) blocks(hash, data, SIZE);
    return (uint64_t)hash[0] << 32 | hash[1];
}

PROGRAM_IF("compute", "SHA-256 by its instructions", work, possible)
