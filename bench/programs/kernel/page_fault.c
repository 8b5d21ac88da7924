// Memory taken, touched page by page, and given back.
#define _GNU_SOURCE
#include "../measure.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { kPage = 4096, kPages = 1024 };

static uint64_t work(void) {
    uint64_t sum = 0;
    for (int round = 0; round < 3; ++round) {
        char* memory =
            mmap(NULL, kPage * kPages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) abort();
        madvise(memory, kPage * kPages, MADV_NOHUGEPAGE);
        for (int page = 0; page < kPages; ++page) memory[page * kPage] = (char)page;
        for (int page = 0; page < kPages; page += 64)
            sum = sum * 31 + (unsigned char)memory[page * kPage];
        munmap(memory, kPage * kPages);
    }
    return sum;
}

PROGRAM("kernel", "page faults", work)
