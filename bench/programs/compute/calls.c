// Calls and returns: a recursion that branches, and one far deeper than any return predictor.
#include "../measure.h"

#define AS_WRITTEN __attribute__((noinline, noclone, noipa, optimize("no-optimize-sibling-calls")))

static AS_WRITTEN uint64_t fibonacci(uint64_t n) {
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static AS_WRITTEN uint64_t deep(uint64_t depth, uint64_t value) {
    return depth == 0 ? value : deep(depth - 1, value * 3 + depth) ^ depth;
}

static uint64_t work(void) {
    uint64_t sum = fibonacci(26);
    for (uint64_t i = 0; i < 300; ++i) sum = sum * 31 + deep(1000, i);
    return sum;
}

PROGRAM("compute", "calls and returns", work)
