// SHA-256 of 512 KiB in plain C, without the processor's own instructions for it.
#include "../measure.h"
#include "sha256_block.h"

#define SIZE (512u << 10)

static unsigned char data[SIZE];

static uint64_t work(void) {
    if (data[1] == 0)
        for (uint32_t i = 0; i < SIZE; ++i) data[i] = (unsigned char)(i * 7 + (i >> 8));
    uint32_t hash[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    sha256_blocks(hash, data, SIZE);
    return (uint64_t)hash[0] << 32 | hash[1];
}

PROGRAM("compute", "SHA-256 in plain C", work)
