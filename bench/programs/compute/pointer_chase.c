// Loads that each need the one before, all over 16 MiB.
#include "../measure.h"

#define COUNT (2u << 20)

static uint64_t next[COUNT];
static int ready;

// One cycle through every element, in an order no prefetcher knows (Sattolo's shuffle).
static void prepare(void) {
    uint64_t state = 88172645463325252u;
    for (uint64_t i = 0; i < COUNT; ++i) next[i] = i;
    for (uint64_t i = COUNT - 1; i > 0; --i) {
        const uint64_t other = next_random(&state) % i, kept = next[i];
        next[i] = next[other];
        next[other] = kept;
    }
    ready = 1;
}

static uint64_t work(void) {
    if (!ready) prepare();
    uint64_t at = 0;
    for (int i = 0; i < 50000; ++i) at = next[at];
    return at;
}

PROGRAM("compute", "pointer chasing", work)
