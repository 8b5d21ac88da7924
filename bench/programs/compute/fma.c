// Polynomials of many doubles at once with fused multiply-add.
#include "../measure.h"

#include <immintrin.h>

enum { kCount = 2048, kDegree = 12 };

static double x[kCount] __attribute__((aligned(32))), y[kCount] __attribute__((aligned(32)));

static int possible(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

__attribute__((target("avx2,fma"))) static void kernel(const double* coefficients) {
    for (int i = 0; i < kCount; i += 16) {
        __m256d sum[4];
        for (int part = 0; part < 4; ++part) sum[part] = _mm256_load_pd(y + i + 4 * part);
        for (int power = 0; power < kDegree; ++power) {
            const __m256d next = _mm256_broadcast_sd(coefficients + power);
            for (int part = 0; part < 4; ++part)
                sum[part] = _mm256_fmadd_pd(sum[part], _mm256_load_pd(x + i + 4 * part), next);
        }
        for (int part = 0; part < 4; ++part) _mm256_store_pd(y + i + 4 * part, sum[part]);
    }
}

static uint64_t work(void) {
    double coefficients[kDegree];
    for (int i = 0; i < kDegree; ++i) coefficients[i] = (double)(i * 5 % 7) / 9.0 - 0.3;
    for (int i = 0; i < kCount; ++i) {
        x[i] = (double)(i % 89) / 100.0;
        y[i] = (double)(i % 17) / 10.0;
    }
    for (int round = 0; round < 300; ++round) kernel(coefficients);
    return checksum_of(y, sizeof y / 8);
}

PROGRAM_IF("compute", "FMA polynomials", work, possible)
