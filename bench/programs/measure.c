// Runs the benchmark programs linked into it, or a command, and prints a line for each:
//   @@measure GROUP/NAME REPETITIONS SECONDS CHECKSUM
//   @@skipped GROUP/NAME
// SECONDS is the median of one repetition, by the clock of the machine this runs on; a slow machine
// does fewer repetitions.
//   measure list
//   measure SECONDS all                     every program
//   measure SECONDS programs GROUP/NAME...  those
//   measure SECONDS command GROUP/NAME WORD...   this command, whose output is the checksum
#define _GNU_SOURCE
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kMaxSamples = 4096 };

extern const struct Program __start_programs[], __stop_programs[];
const char* own_path;
static char** command_words;

uint64_t checksum_of(const void* data, size_t size) {
    const unsigned char* bytes = data;
    uint64_t sum = 0xcbf29ce484222325u;  // FNV-1a
    for (size_t i = 0; i < size; ++i) sum = (sum ^ bytes[i]) * 0x100000001b3u;
    return sum;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int compare_doubles(const void* left, const void* right) {
    const double a = *(const double*)left, b = *(const double*)right;
    return (a > b) - (a < b);
}

static void fail(const char* name, const char* problem) {
    printf("@@broken %s: %s\n", name, problem);
    exit(1);
}

static uint64_t repetition(const struct Program* program, const char* name, uint64_t wanted) {
    const uint64_t checksum = program->work();
    if (checksum != wanted) fail(name, "two repetitions differ");
    return checksum;
}

// The first repetitions are not counted: they warm caches, and translations.
static void measure(const struct Program* program, double seconds) {
    static double samples[kMaxSamples];
    char name[200];
    snprintf(name, sizeof name, "%s/%s", program->group, program->name);
    if (program->possible != NULL && !program->possible()) {
        printf("@@skipped %s\n", name);
        return;
    }
    const double warming = now();
    const uint64_t checksum = program->work();
    while (now() - warming < seconds / 5) repetition(program, name, checksum);
    size_t count = 0;
    const double began = now();
    double from = began, to;
    do {
        repetition(program, name, checksum);
        to = now();
        samples[count++] = to - from;
        from = to;
    } while (to - began < seconds && count < kMaxSamples);
    qsort(samples, count, sizeof samples[0], compare_doubles);
    const double median = (samples[count / 2] + samples[(count - 1) / 2]) / 2;
    printf("@@measure %s %zu %.9f %016llx\n", name, count, median, (unsigned long long)checksum);
}

// Each in a process of its own, so that what one leaves behind is nothing to the next.
static int measure_apart(const struct Program* program, double seconds) {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        measure(program, seconds);
        fflush(stdout);
        _exit(0);
    }
    int status = -1;
    if (child > 0) waitpid(child, &status, 0);
    if (status == 0) return 0;
    printf("@@broken %s/%s: status %#x\n", program->group, program->name, (unsigned)status);
    return 1;
}

static uint64_t run_command(void) {
    static char output[1 << 16];
    int ends[2];
    if (pipe(ends) != 0) fail(command_words[0], "no pipe");
    const pid_t child = vfork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv(command_words[0], command_words);
        _exit(127);
    }
    close(ends[1]);
    uint64_t sum = 0;
    // Pieces differ from run to run, so the sum must not depend on where they end.
    for (ssize_t size; (size = read(ends[0], output, sizeof output)) > 0;)
        for (ssize_t i = 0; i < size; ++i) sum = (sum ^ (unsigned char)output[i]) * 0x100000001b3u;
    close(ends[0]);
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        char problem[60];
        snprintf(problem, sizeof problem, "wait status %#x", (unsigned)status);
        fail(command_words[0], problem);
    }
    return sum;
}

static int is_named(const struct Program* program, char** names) {
    char name[200];
    snprintf(name, sizeof name, "%s/%s", program->group, program->name);
    for (; *names != NULL; ++names)
        if (strcmp(name, *names) == 0) return 1;
    return 0;
}

int main(int argc, char** argv) {
    // A program that starts this one anew does so with this word: the child's only work is to end.
    if (argc > 1 && strcmp(argv[1], "end") == 0) return 0;
    if (argc < 2) {
        fprintf(stderr, "measure: nothing to do; the head of measure.c says what there is\n");
        return 1;
    }
    own_path = argv[0];
    const struct Program* program;
    if (strcmp(argv[1], "list") == 0) {
        for (program = __start_programs; program != __stop_programs; ++program)
            printf("%s/%s\n", program->group, program->name);
        return 0;
    }
    const double seconds = atof(argv[1]);
    if (argc > 4 && strcmp(argv[2], "command") == 0) {
        command_words = argv + 4;
        char* const name = strchr(argv[3], '/');
        if (name == NULL) fail(argv[3], "is not GROUP/NAME");
        *name = 0;
        const struct Program command = {argv[3], name + 1, run_command, NULL};
        measure(&command, seconds);
        return 0;
    }
    const int all = argc > 2 && strcmp(argv[2], "all") == 0;
    int broken = 0;
    for (program = __start_programs; program != __stop_programs; ++program)
        if (all || (argc > 3 && is_named(program, argv + 3)))
            broken |= measure_apart(program, seconds);
    return broken;
}
