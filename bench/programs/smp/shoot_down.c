// One thread takes permissions from pages the other is using: each time the other processor's
// translations have to be shot down.
#define _GNU_SOURCE
#include "../measure.h"
#include "../two_threads.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { kPage = 4096, kPages = 16, kTimes = 200 };

static volatile int over;

static void disturb(void* argument, int number) {
    volatile char* memory = argument;
    if (number == 1) {
        unsigned sum = 0;
        while (!over)
            for (int page = 0; page < kPages; ++page) sum += (unsigned char)memory[page * kPage];
        memory[kPage * kPages] = (char)sum;  // a page of its own, which stays writable
        return;
    }
    for (int i = 0; i < kTimes; ++i) {
        char* const page = (char*)argument + i % kPages * kPage;
        if (mprotect(page, kPage, PROT_READ) != 0) abort();
        if (mprotect(page, kPage, PROT_READ | PROT_WRITE) != 0) abort();
        *page = (char)i;
    }
    over = 1;
}

static uint64_t work(void) {
    static char* memory;
    if (memory == NULL) {
        memory = mmap(NULL, kPage * (kPages + 1), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) abort();
    }
    over = 0;
    run_on_two(disturb, memory);
    uint64_t sum = 0;
    for (int page = 0; page < kPages; ++page) sum = sum * 31 + (unsigned char)memory[page * kPage];
    return sum;
}

PROGRAM_IF("smp", "TLB shoot-downs", work, two_processors)
