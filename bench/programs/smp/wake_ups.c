// Two threads on two processors wake each other by futex and sleep: an interrupt between
// processors and a wake-up from idle each way.
#define _GNU_SOURCE
#include "../measure.h"
#include "../two_threads.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kRounds = 100 };

static void turn(void* argument, int number) {
    uint32_t* word = argument;
    for (uint32_t round = 0; round < kRounds; ++round) {
        const uint32_t mine = 2 * round + (uint32_t)number;
        for (uint32_t seen; (seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != mine;)
            syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
        __atomic_store_n(word, mine + 1, __ATOMIC_RELEASE);
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

static uint64_t work(void) {
    static uint32_t word;
    word = 0;
    run_on_two(turn, &word);
    return word;
}

PROGRAM_IF("smp", "wake-ups across processors", work, two_processors)
