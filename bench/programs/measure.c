// Repeats work() until the time given as the first argument is over and prints one line:
//   @@measure NAME REPETITIONS SECONDS CHECKSUM
// Time is the clock of the machine the program runs on; a slow machine does fewer repetitions.
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int argc, char** argv) {
    // A program that starts itself does so with this word: the child's only work is to end.
    if (argc > 1 && strcmp(argv[1], "end") == 0) return 0;
    const double wanted = argc > 1 ? atof(argv[1]) : 1.0;
    const uint64_t checksum = work(argv[0]);  // also warms caches, and translations
    unsigned long repetitions = 0;
    const double began = now();
    double passed = 0;
    do {
        if (work(argv[0]) != checksum) {
            fprintf(stderr, "%s: two repetitions differ\n", kName);
            return 1;
        }
        ++repetitions;
        passed = now() - began;
    } while (passed < wanted);
    printf("@@measure %s %lu %.6f %016llx\n", kName, repetitions, passed,
           (unsigned long long)checksum);
    return 0;
}
