// A byte to another process and back, both on one processor: two context switches a round.
#define _GNU_SOURCE
#include "../measure.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static int to_child[2], to_parent[2];

static void start(void) {
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    if (sched_setaffinity(0, sizeof first, &first) != 0) abort();
    if (pipe(to_child) != 0 || pipe(to_parent) != 0) abort();
    const pid_t child = fork();
    if (child < 0) abort();
    if (child > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned char byte; read(to_child[0], &byte, 1) == 1;) {
        ++byte;
        if (write(to_parent[1], &byte, 1) != 1) break;
    }
    _exit(0);
}

static uint64_t work(void) {
    if (to_child[1] == 0) start();
    uint64_t sum = 0;
    unsigned char byte = 0;
    for (int i = 0; i < 1000; ++i) {
        if (write(to_child[1], &byte, 1) != 1 || read(to_parent[0], &byte, 1) != 1) abort();
        sum = sum * 31 + byte;
    }
    return sum;
}

PROGRAM("kernel", "pipe round trip between processes", work)
