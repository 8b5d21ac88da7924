// The cheapest system call there is.
#define _GNU_SOURCE
#include "measure.h"

#include <sys/syscall.h>
#include <unistd.h>

const char* const kName = "getpid system calls";

uint64_t work(const char* argv0) {
    (void)argv0;
    const long own = syscall(SYS_getpid);
    uint64_t equal = 0;
    for (int i = 0; i < 10000; ++i) equal += syscall(SYS_getpid) == own;
    return equal;
}
