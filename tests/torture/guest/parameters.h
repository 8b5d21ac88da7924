// What the host and the torture guest tell each other, at PARAMETERS. Also read by the host's C++.
#pragma once

#include <stdint.h>

struct Parameters {
    // The host's.
    uint32_t processors;
    uint32_t stop;         // non-zero: come to an end
    uint32_t seed;
    uint32_t timer_ticks;  // of the local APIC, for a millisecond or so
    uint32_t dma_version;  // the code at DMA_CODE is of this version or a later one
    uint32_t tsc_ticks;    // the same time on the TSC
    // The guest's.
    uint32_t failed;       // set once; what follows says where
    uint32_t line;
    uint64_t file, condition;  // addresses of strings
    uint64_t values[2];
    uint64_t processor;
    uint64_t rounds[8];    // of each activity, summed at the end
    uint64_t timer_interrupts, ipis, nmis;
};
