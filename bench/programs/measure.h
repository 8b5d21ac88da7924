// What a benchmark program provides, and what measure.c does with it.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct Program {
    const char* group;
    const char* name;           // in the table of results
    uint64_t (*work)(void);     // one repetition of the same work; its checksum
    int (*possible)(void);      // whether this machine can run it; NULL: all can
};

// Exactly one of these in every program's file:
//   PROGRAM("compute", "integer loop", work)
// One repetition takes a few milliseconds on a native processor. Its checksum is equal every time
// and on every machine.
#define PROGRAM(group, name, work) PROGRAM_IF(group, name, work, NULL)
#define PROGRAM_IF(group, name, work, possible)                                         \
    static const struct Program program __attribute__((used, section("programs"))) = { \
        group, name, work, possible};

// This very program's file, for those that start it anew with the word "end", where it ends.
extern const char* own_path;

// Bits, not values: every processor has to round alike.
uint64_t checksum_of(const void* data, size_t size);

// A sequence that is the same everywhere [Marsaglia 2003, xorshift64].
static inline uint64_t next_random(uint64_t* state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
