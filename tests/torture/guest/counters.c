// Counters that all processors add to with every locked instruction, some of them across cache
// lines and pages. Each processor keeps account of what it added; the sums must be equal.
#include "guest.h"

enum { kCounters = 8, kSplit = 5 };  // from kSplit on: across cache lines, the last two pages
static uint8_t area[3 * 4096] __attribute__((aligned(4096)));
static const uint16_t kOffsets[kCounters] = {0, 8, 64, 256, 264, 124, 4092, 8185};
static uint64_t added[MOST_PROCESSORS][kCounters];
static volatile uint64_t pair[2] __attribute__((aligned(16)));
static uint64_t pair_added[MOST_PROCESSORS];
static volatile uint32_t spin, bit_lock;
static volatile uint64_t under_lock[2];
static uint64_t locked[MOST_PROCESSORS][2];

// Adds to *at with one of the instructions that can; returns how much.
static uint64_t add_somehow(volatile uint64_t* at) {
    uint64_t value = random_below(1000);
    const uint64_t amount = value;
    switch (random_below(8)) {
        case 0: __asm__ volatile("lock incq %0" : "+m"(*at)::"memory", "cc"); return 1;
        case 1: __asm__ volatile("lock decq %0" : "+m"(*at)::"memory", "cc"); return ~0ull;
        case 2: __asm__ volatile("lock addq $77, %0" : "+m"(*at)::"memory", "cc"); return 77;
        case 3: __asm__ volatile("lock subq %1, %0" : "+m"(*at) : "r"(value) : "memory", "cc");
                return 0 - amount;
        case 4: __asm__ volatile("lock xaddq %1, %0" : "+m"(*at), "+r"(value)::"memory", "cc");
                return amount;
        case 5: __asm__ volatile("stc; lock adcq %1, %0" : "+m"(*at) : "r"(value) : "memory", "cc");
                return amount + 1;
        case 6:  // of each width; nothing carries out of the bytes of a zero
                __asm__ volatile("lock addb $0, %0; lock orw $0, %0; lock xorl $0, %0"
                                 : "+m"(*at)::"memory", "cc");
                return 0;
        default: break;
    }
    uint64_t expected = *at;
    for (;;) {
        uint8_t equal;
        const uint64_t wanted = expected + amount;
        __asm__ volatile("lock cmpxchgq %3, %0; sete %1"
                         : "+m"(*at), "=q"(equal), "+a"(expected)
                         : "r"(wanted)
                         : "memory", "cc");
        if (equal) return amount;
    }
}

static void add_to_pair(void) {
    uint64_t low = pair[0], high = pair[1];
    const uint64_t amount = ~0ull - random_below(1000);  // carries now and then
    uint8_t equal;
    do {
        uint64_t new_low = low + amount, new_high = high + (new_low < low);
        __asm__ volatile("lock cmpxchg16b %0; sete %1"
                         : "+m"(pair), "=q"(equal), "+a"(low), "+d"(high)
                         : "b"(new_low), "c"(new_high)
                         : "memory", "cc");
    } while (!equal);
    pair_added[self()->number] += amount;
}

static void add_under_locks(void) {
    const uint32_t me = self()->number;
    lock(&spin);
    under_lock[0] += 3;
    unlock(&spin);
    locked[me][0] += 3;
    uint8_t was_set;
    do {
        __asm__ volatile("lock btsl $5, %0; setc %1"
                         : "+m"(bit_lock), "=q"(was_set)::"memory", "cc");
    } while (was_set);
    under_lock[1] += 5;
    __asm__ volatile("lock btrl $5, %0" : "+m"(bit_lock)::"memory", "cc");
    locked[me][1] += 5;
}

void count(void) {
    uint64_t* const mine = added[self()->number];
    for (uint32_t i = 0; i < 20; ++i) {
        // Split ones stop the whole host for a moment.
        const uint32_t which = random_below(random_below(100) == 0 ? kCounters : kSplit);
        mine[which] += add_somehow((volatile uint64_t*)(area + kOffsets[which]));
    }
    add_to_pair();
    add_under_locks();
}

void check_counters(void) {
    for (uint32_t i = 0; i < kCounters; ++i) {
        uint64_t wanted = 0;
        for (uint32_t p = 0; p < MOST_PROCESSORS; ++p) wanted += added[p][i];
        const uint64_t found = *(volatile uint64_t*)(area + kOffsets[i]);
        EXPECT(found == wanted, i, found - wanted);
    }
    uint64_t wanted = 0, first = 0, second = 0;
    for (uint32_t p = 0; p < MOST_PROCESSORS; ++p) {
        wanted += pair_added[p];
        first += locked[p][0];
        second += locked[p][1];
    }
    EXPECT(pair[0] == wanted, pair[0], wanted);
    EXPECT(under_lock[0] == first, under_lock[0], first);
    EXPECT(under_lock[1] == second, under_lock[1], second);
}
