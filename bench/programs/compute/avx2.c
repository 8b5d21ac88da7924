// An AVX2 kernel on data in cache: blends and shuffles of integers, products of floats.
#include "../measure.h"

#include <immintrin.h>

enum { kCount = 4096 };

static float x[kCount] __attribute__((aligned(32))), y[kCount] __attribute__((aligned(32)));
static uint32_t hash[8];

static int possible(void) { return __builtin_cpu_supports("avx2"); }

__attribute__((target("avx2"))) static void kernel(float factor) {
    const __m256 scale = _mm256_set1_ps(factor), limit = _mm256_set1_ps(1000.0f);
    __m256i mixed = _mm256_loadu_si256((const __m256i*)hash);
    const __m256i order = _mm256_setr_epi32(3, 6, 1, 4, 7, 2, 5, 0);
    for (int i = 0; i < kCount; i += 8) {
        __m256 value =
            _mm256_add_ps(_mm256_mul_ps(_mm256_load_ps(x + i), scale), _mm256_load_ps(y + i));
        const __m256 over = _mm256_cmp_ps(value, limit, _CMP_GT_OQ);
        value = _mm256_blendv_ps(value, _mm256_sub_ps(value, limit), over);
        _mm256_store_ps(y + i, value);
        mixed = _mm256_xor_si256(_mm256_slli_epi32(mixed, 5), _mm256_srli_epi32(mixed, 27));
        mixed =
            _mm256_add_epi32(_mm256_permutevar8x32_epi32(mixed, order), _mm256_castps_si256(value));
        mixed = _mm256_mullo_epi32(mixed, _mm256_set1_epi32(0x9e3779b1));
    }
    _mm256_storeu_si256((__m256i*)hash, mixed);
}

static uint64_t work(void) {
    for (int i = 0; i < kCount; ++i) {
        x[i] = (float)(i % 97) / 3.0f;
        y[i] = (float)(i % 31) / 7.0f;
    }
    for (int i = 0; i < 8; ++i) hash[i] = (uint32_t)i;
    for (int round = 0; round < 500; ++round) kernel((float)(round % 13) / 2.0f);
    return checksum_of(y, sizeof y / 8) ^ checksum_of(hash, sizeof hash);
}

PROGRAM_IF("compute", "AVX2 kernel", work, possible)
