// A program that is itself a translator, as a language's run time is: it makes small functions out
// of a tiny bytecode in memory that is writable and executable, runs each several times, and soon
// puts another in its place.
#define _GNU_SOURCE
#include "../measure.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { kSlots = 64, kSlotBytes = 256, kFunctions = 600, kRuns = 50, kOperations = 12 };

static unsigned char* code;

static unsigned char* put(unsigned char* at, const void* bytes, size_t size) {
    memcpy(at, bytes, size);
    return at + size;
}

static unsigned char* put_with_word(unsigned char* at, const void* bytes, size_t size,
                                    uint32_t word) {
    return put(put(at, bytes, size), &word, sizeof word);
}

// uint64_t function(uint64_t value): a loop of four rounds over operations from `state`.
static void translate(unsigned char* at, uint64_t* state) {
    at = put(at, "\x48\x89\xf8", 3);          // mov rax, rdi
    at = put(at, "\xb9\x04\x00\x00\x00", 5);  // mov ecx, 4
    const unsigned char* const loop = at;
    for (int i = 0; i < kOperations; ++i) {
        const uint64_t random = next_random(state);
        const uint32_t word = (uint32_t)(random >> 24);
        switch (random % 7) {
            case 0:
                at = put_with_word(at, "\x48\x05", 2, word);
                break;  // add rax, imm
            case 1:
                at = put_with_word(at, "\x48\x35", 2, word);
                break;  // xor rax, imm
            case 2:
                at = put_with_word(at, "\x48\x69\xc0", 3, word | 1);
                break;  // imul rax, rax, imm
            case 3:
                at = put(at, "\x48\xc1\xc0\x0d", 4);
                break;  // rol rax, 13
            case 4:
                at = put(at, "\x48\x01\xf8", 3);
                break;  // add rax, rdi
            case 5:
                at = put(at, "\x48\x89\xc2\x48\xc1\xea\x11\x48\x31\xd0", 10);
                break;  // ^= >> 17
            default:    // cmp rax, rdi; jb over an increment
                at = put(at, "\x48\x39\xf8\x72\x03\x48\xff\xc0", 8);
        }
    }
    at = put(at, "\xff\xc9\x0f\x85", 4);  // dec ecx; jnz loop
    const int32_t back = (int32_t)(loop - (at + 4));
    at = put(at, &back, sizeof back);
    put(at, "\xc3", 1);
}

static uint64_t work(void) {
    if (code == NULL) {
        code = mmap(NULL, kSlots * kSlotBytes, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (code == MAP_FAILED) abort();
    }
    uint64_t state = 5, sum = 1;
    for (int number = 0; number < kFunctions; ++number) {
        unsigned char* slot = code + number % kSlots * kSlotBytes;
        translate(slot, &state);
        uint64_t (*function)(uint64_t);
        memcpy(&function, &slot, sizeof function);
        for (int run = 0; run < kRuns; ++run) sum = function(sum + (uint64_t)run);
    }
    return sum;
}

PROGRAM("compute", "self-modifying code", work)
