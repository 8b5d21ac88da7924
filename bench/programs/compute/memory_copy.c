// The C library's memcpy, from a few bytes to what no longer fits the nearest caches.
#include "../measure.h"

#include <string.h>

enum { kLargest = 1 << 20, kTotal = 4 << 20 };

static unsigned char from[kLargest + 64], to[kLargest + 64];

static uint64_t work(void) {
    static const size_t sizes[] = {13, 32, 100, 256, 1000, 4096, 20000, 65536, kLargest};
    for (size_t i = 0; i < sizeof from; ++i) from[i] = (unsigned char)(i * 7 + (i >> 9));
    void* (*volatile copy)(void*, const void*, size_t) = memcpy;
    uint64_t sum = 0;
    for (size_t kind = 0; kind < sizeof sizes / sizeof sizes[0]; ++kind) {
        const size_t size = sizes[kind], times = kTotal / (size + 200);
        for (size_t i = 0; i < times; ++i) {
            copy(to + (i & 31), from + (i * 5 & 63), size);
            sum += to[(i & 31) + size - 1];
        }
    }
    return sum;
}

PROGRAM("compute", "memory copy", work)
