// A product of two single-precision matrices with SSE intrinsics: four rows at a time in registers,
// all of it in the nearest cache.
#include "../measure.h"

#include <emmintrin.h>

#define SIZE 64

static float a[SIZE][SIZE], b[SIZE][SIZE] __attribute__((aligned(16))),
    c[SIZE][SIZE] __attribute__((aligned(16)));

static void multiply(void) {
    for (int i = 0; i < SIZE; i += 4) {
        for (int j = 0; j < SIZE; j += 4) {
            __m128 sum[4] = {_mm_load_ps(&c[i][j]), _mm_load_ps(&c[i + 1][j]),
                             _mm_load_ps(&c[i + 2][j]), _mm_load_ps(&c[i + 3][j])};
            for (int k = 0; k < SIZE; ++k) {
                const __m128 row = _mm_load_ps(&b[k][j]);
                sum[0] = _mm_add_ps(sum[0], _mm_mul_ps(_mm_set1_ps(a[i][k]), row));
                sum[1] = _mm_add_ps(sum[1], _mm_mul_ps(_mm_set1_ps(a[i + 1][k]), row));
                sum[2] = _mm_add_ps(sum[2], _mm_mul_ps(_mm_set1_ps(a[i + 2][k]), row));
                sum[3] = _mm_add_ps(sum[3], _mm_mul_ps(_mm_set1_ps(a[i + 3][k]), row));
            }
            for (int row = 0; row < 4; ++row) _mm_store_ps(&c[i + row][j], sum[row]);
        }
    }
}

static uint64_t work(void) {
    for (int i = 0; i < SIZE; ++i) {
        for (int j = 0; j < SIZE; ++j) {
            a[i][j] = (float)(i * 3 + j) / 7.0f;
            b[i][j] = (float)(i - 2 * j) / 5.0f;
            c[i][j] = 0;
        }
    }
    for (int round = 0; round < 20; ++round) multiply();
    return checksum_of(c[SIZE / 2], sizeof c[0] * 4);
}

PROGRAM("compute", "SSE matrix product, single", work)
