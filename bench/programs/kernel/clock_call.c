// The clock by a system call.
#define _GNU_SOURCE
#include "../measure.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t work(void) {
    uint64_t forward = 0;
    struct timespec before = {0, 0}, after;
    for (int i = 0; i < 10000; ++i) {
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &after);
        forward += after.tv_sec > before.tv_sec ||
                   (after.tv_sec == before.tv_sec && after.tv_nsec >= before.tv_nsec);
        before = after;
    }
    return forward;
}

PROGRAM("kernel", "clock_gettime by system call", work)
