// 256 KiB of words packed as gzip does by default and unpacked again, by the system's zlib.
#include "measure.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define SIZE (256u << 10)

const char* const kName = "gzip and gunzip";

static unsigned char plain[SIZE], again[SIZE], packed[SIZE + (SIZE >> 4)];

static void prepare(void) {
    static const char* const words[] = {"interrupt ", "page ", "the ", "of ", "processor ", "table\n",
                                        "register ", "is ", "descriptor ", "and ", "virtual ", "0x"};
    uint32_t state = 1;
    for (uint32_t at = 0; at < SIZE;) {
        state = state * 1664525u + 1013904223u;
        const char* word = words[(state >> 24) % (sizeof words / sizeof words[0])];
        for (; *word && at < SIZE; ++word) plain[at++] = (unsigned char)*word;
    }
}

uint64_t work(const char* argv0) {
    (void)argv0;
    if (plain[0] == 0) prepare();
    uLongf size = sizeof packed, unpacked = sizeof again;
    if (compress2(packed, &size, plain, SIZE, 6) != Z_OK) abort();
    if (uncompress(again, &unpacked, packed, size) != Z_OK) abort();
    if (unpacked != SIZE || memcmp(plain, again, SIZE) != 0) abort();
    return (uint64_t)size << 32 | crc32(0, packed, (uInt)size);
}
