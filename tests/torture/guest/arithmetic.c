// Integer, SSE and x87 work with a known result, in registers all the while: interrupts, faults and
// whatever the engine does between instructions must leave them alone.
#include "guest.h"

static uint64_t integers(void) {
    uint64_t a = 1, b = 2, c = 3, d = 4;
    for (uint32_t i = 0; i < 500; ++i) {
        a = a * 6364136223846793005u + b;
        b ^= c >> 7;
        c = (c << 13 | c >> 51) + d;
        d -= a;
    }
    return a ^ b ^ c ^ d;
}

static uint64_t doubles(void) {
    double x = 1.5, y = 0.25;
    for (uint32_t i = 0; i < 200; ++i) {
        x = x * 1.0009765625 + y;
        y = (x - y) / 3.0;
    }
    uint64_t bits;
    const double sum = x + y;
    __builtin_memcpy(&bits, &sum, 8);
    return bits;
}

static uint64_t extended(void) {
    long double x = 1.1L, y = 0.3L;
    for (uint32_t i = 0; i < 100; ++i) {
        x = x * 1.0001L + y;
        y = (x - y) / 7.0L;
    }
    const double sum = (double)(x + y);
    uint64_t bits;
    __builtin_memcpy(&bits, &sum, 8);
    return bits;
}

// CF lives from round to round, and nothing but it.
static uint64_t carries(void) {
    uint64_t sum = 0, count = 300;
    __asm__ volatile(
        "stc\n"
        "1: adcq $0x7fffffff, %0\n"
        "leaq -1(%1), %1\n"
        "rcrq $1, %0\n"
        "jrcxz 2f\n"
        "jmp 1b\n"
        "2:"
        : "+r"(sum), "+c"(count)::"cc");
    return sum;
}

// Shared: whoever is first says what is right; nobody may ever differ.
static volatile uint64_t results[4];
static void expect_result(uint32_t which, uint64_t value) {
    uint64_t before = 0;
    __asm__ volatile("lock cmpxchgq %2, %0"
                     : "+m"(results[which]), "+a"(before)
                     : "r"(value)
                     : "memory", "cc");
    EXPECT(before == 0 || before == value, which, value);
}

void compute(void) {
    switch (random_below(4)) {
        case 0: expect_result(0, integers()); break;
        case 1: expect_result(1, doubles()); break;
        case 2: expect_result(2, extended()); break;
        default: expect_result(3, carries()); break;
    }
}
