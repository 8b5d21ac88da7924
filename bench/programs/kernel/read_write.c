// 4 KiB read from and written to a file in memory.
#define _GNU_SOURCE
#include "../measure.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kPage = 4096, kPages = 64 };

static uint64_t work(void) {
    static char buffer[kPage];
    static int file = -1;
    if (file < 0) {
        file = memfd_create("bench", 0);
        if (file < 0 || ftruncate(file, kPage * kPages) != 0) abort();
    }
    memset(buffer, 1, sizeof buffer);
    uint64_t sum = 0;
    for (int i = 0; i < 3000; ++i) {
        const off_t from = (off_t)kPage * (i % kPages), to = (off_t)kPage * (i * 7 % kPages);
        if (pread(file, buffer, kPage, from) != kPage) abort();
        sum += (unsigned char)buffer[0];
        buffer[0] = 1;
        if (pwrite(file, buffer, kPage, to) != kPage) abort();
    }
    return checksum_of(buffer, sizeof buffer) + (sum > 0);
}

PROGRAM("kernel", "read and write of 4 KiB", work)
