// Two threads take turns at a lock held for a few instructions, by compare and exchange.
#include "../measure.h"
#include "../two_threads.h"

enum { kTimes = 50000 };

struct Shared {
    uint32_t lock;
    uint64_t guarded[6];
} __attribute__((aligned(64)));

static void contend(void* argument, int number) {
    struct Shared* shared = argument;
    (void)number;
    for (int i = 0; i < kTimes; ++i) {
        uint32_t open = 0;
        while (!__atomic_compare_exchange_n(&shared->lock, &open, 1, 0, __ATOMIC_ACQUIRE,
                                            __ATOMIC_RELAXED)) {
            while (__atomic_load_n(&shared->lock, __ATOMIC_RELAXED)) __builtin_ia32_pause();
            open = 0;
        }
        for (int word = 0; word < 6; ++word) ++shared->guarded[word];
        __atomic_store_n(&shared->lock, 0, __ATOMIC_RELEASE);
    }
}

static uint64_t work(void) {
    static struct Shared shared;
    shared = (struct Shared){0};
    run_on_two(contend, &shared);
    return checksum_of(shared.guarded, sizeof shared.guarded);
}

PROGRAM_IF("smp", "spin lock", work, two_processors)
