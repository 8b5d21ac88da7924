// What the memory model promises without locks: stores become visible in order, loads are done in
// order, MFENCE keeps a load behind an earlier store [SDM 3A 8.2].
#include "guest.h"

enum { kCells = 8 };
// From each processor to the next one. The writer raises the cells one after the other.
static struct {
    volatile uint64_t cells[kCells];
    uint64_t padding[8];
} channels[MOST_PROCESSORS];

void pass_messages(void) {
    const uint32_t me = self()->number, from = (me + 1) % parameters.processors;
    for (uint32_t round = 0; round < 20; ++round) {
        const uint64_t value = channels[me].cells[0] + 1;
        for (uint32_t i = 0; i < kCells; ++i) channels[me].cells[i] = value;
        // Read from the last one on: what is read later is at least as new.
        uint64_t newest = 0;
        for (uint32_t i = kCells; i-- > 0;) {
            const uint64_t seen = channels[from].cells[i];
            EXPECT(seen >= newest, seen, newest);
            newest = seen;
        }
    }
}

// Peterson's algorithm, between neighbours.
static struct {
    volatile uint32_t wants[2];
    volatile uint32_t turn;
    volatile uint64_t value;
    uint64_t padding[8];
} gates[MOST_PROCESSORS / 2];
static uint64_t turns[MOST_PROCESSORS];

void take_turns(void) {
    const uint32_t me = self()->number, side = me & 1;
    if ((me | 1) >= parameters.processors) return;
    for (uint32_t round = 0; round < 5; ++round) {
        gates[me / 2].wants[side] = 1;
        gates[me / 2].turn = 1 - side;
        __asm__ volatile("mfence" ::: "memory");
        uint32_t tries = 0;
        while (gates[me / 2].wants[1 - side] != 0 && gates[me / 2].turn != side)
            wait_a_little(&tries);
        gates[me / 2].value = gates[me / 2].value + 1;
        barrier();
        gates[me / 2].wants[side] = 0;
        ++turns[me];
    }
}

void check_turns(void) {
    for (uint32_t i = 0; i < MOST_PROCESSORS; i += 2) {
        const uint64_t wanted = turns[i] + turns[i + 1];
        EXPECT(gates[i / 2].value == wanted, gates[i / 2].value, wanted);
    }
}
