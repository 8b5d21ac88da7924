// The clock by the code the kernel shares with every process.
#define _GNU_SOURCE
#include "../measure.h"

#include <time.h>

static uint64_t work(void) {
    uint64_t forward = 0;
    struct timespec before = {0, 0}, after;
    for (int i = 0; i < 50000; ++i) {
        clock_gettime(CLOCK_MONOTONIC, &after);
        forward += after.tv_sec > before.tv_sec ||
                   (after.tv_sec == before.tv_sec && after.tv_nsec >= before.tv_nsec);
        before = after;
    }
    return forward;
}

PROGRAM("kernel", "clock_gettime", work)
