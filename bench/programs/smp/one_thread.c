// Half of what "two threads" does, by one: twice its speed would be perfect.
#include "../measure.h"
#include "../two_threads.h"
#include "throughput.h"

static uint64_t work(void) {
    uint64_t sums[2] = {0};
    run_on_one(separate_work, sums);
    return sums[0];
}

PROGRAM_IF("smp", "one thread", work, two_processors)
