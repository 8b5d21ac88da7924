// The C library's qsort, which calls back for every comparison.
#include "../measure.h"

#include <stdlib.h>

enum { kCount = 40000 };

static uint32_t numbers[kCount];

static int compare(const void* left, const void* right) {
    const uint32_t a = *(const uint32_t*)left, b = *(const uint32_t*)right;
    return (a > b) - (a < b);
}

static uint64_t work(void) {
    uint64_t state = 11;
    for (int i = 0; i < kCount; ++i) numbers[i] = (uint32_t)(next_random(&state) >> 16);
    qsort(numbers, kCount, sizeof numbers[0], compare);
    return checksum_of(numbers, sizeof numbers / 16);
}

PROGRAM("compute", "qsort of the C library", work)
