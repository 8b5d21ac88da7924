// Two threads that share nothing, each doing the work of "one thread".
#include "../two_threads.h"

#include "../measure.h"
#include "throughput.h"

static uint64_t work(void) {
    uint64_t sums[2] = {0};
    run_on_two(separate_work, sums);
    return sums[0] == sums[1] ? sums[0] : 0;
}

PROGRAM_IF("smp", "two threads", work, two_processors)
