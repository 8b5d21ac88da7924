// Two threads count in one word: every addition takes the cache line from the other.
#include "../measure.h"
#include "../two_threads.h"

enum { kTimes = 200000 };

static void count(void* word, int number) {
    (void)number;
    for (int i = 0; i < kTimes; ++i) __atomic_fetch_add((uint64_t*)word, 3, __ATOMIC_SEQ_CST);
}

static uint64_t work(void) {
    static uint64_t word __attribute__((aligned(64)));
    word = 0;
    run_on_two(count, &word);
    return word;
}

PROGRAM_IF("smp", "contended atomics", work, two_processors)
