#include "throughput.h"

#include "../measure.h"

#include <stdlib.h>

enum { kCount = 30000 };

static int compare(const void* left, const void* right) {
    const uint32_t a = *(const uint32_t*)left, b = *(const uint32_t*)right;
    return (a > b) - (a < b);
}

void separate_work(void* sums, int number) {
    static uint32_t arrays[2][kCount + 64];
    uint32_t* numbers = arrays[number];
    uint64_t state = 17, sum = 0;
    double total = 0;
    for (int round = 0; round < 4; ++round) {
        for (int i = 0; i < kCount; ++i) numbers[i] = (uint32_t)(next_random(&state) >> 16);
        qsort(numbers, kCount, sizeof numbers[0], compare);
        for (int i = 0; i < kCount; ++i) {
            sum = sum * 31 + numbers[i];
            total += (double)numbers[i] / (double)(i + 1);
        }
    }
    ((uint64_t*)sums)[number] = sum ^ (uint64_t)total;
}
