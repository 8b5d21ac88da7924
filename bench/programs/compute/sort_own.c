// Quicksort of integers, comparisons inline: branches no predictor knows.
#include "../measure.h"

enum { kCount = 60000 };

static uint32_t numbers[kCount];

static void sort(uint32_t* low, uint32_t* high) {
    while (high - low > 12) {
        const uint32_t a = *low, b = low[(high - low) / 2], c = high[-1];
        const uint32_t pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
        uint32_t *left = low, *right = high - 1;
        for (;;) {
            while (*left < pivot) ++left;
            while (*right > pivot) --right;
            if (left >= right) break;
            const uint32_t kept = *left;
            *left++ = *right;
            *right-- = kept;
        }
        sort(low, left);
        low = left;
    }
    for (uint32_t* at = low + (low < high); at < high; ++at) {
        const uint32_t value = *at;
        uint32_t* hole = at;
        for (; hole > low && hole[-1] > value; --hole) *hole = hole[-1];
        *hole = value;
    }
}

static uint64_t work(void) {
    uint64_t state = 7, sum = 0;
    for (int i = 0; i < kCount; ++i) numbers[i] = (uint32_t)(next_random(&state) >> 16);
    sort(numbers, numbers + kCount);
    for (int i = 1; i < kCount; ++i) {
        if (numbers[i - 1] > numbers[i]) return 0;
        sum = sum * 31 + numbers[i];
    }
    return sum;
}

PROGRAM("compute", "quicksort", work)
