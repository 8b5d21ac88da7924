// What the parts of the torture guest share.
#pragma once

#include <stdint.h>

#include "layout.h"
#include "parameters.h"

#define parameters (*(volatile struct Parameters*)PARAMETERS)
#define GENERAL_REGISTERS __attribute__((target("general-regs-only")))

// Ends the machine with what went wrong; does not return.
GENERAL_REGISTERS __attribute__((noreturn)) void fail(const char* file, uint32_t line,
                                                      const char* condition, uint64_t first,
                                                      uint64_t second);
#define EXPECT(condition, first, second)                                                        \
    do {                                                                                        \
        if (!(condition))                                                                       \
            fail(__FILE__, __LINE__, #condition, (uint64_t)(first), (uint64_t)(second));        \
    } while (0)

// One processor's own data; GS points to it.
struct Processor {
    uint32_t number;
    uint32_t random;
    uint64_t timer_interrupts;
    uint64_t ipis, nmis;
    uint64_t rounds[8];
};
extern struct Processor processor_data[MOST_PROCESSORS];

GENERAL_REGISTERS static inline struct Processor* self(void) {
    uint32_t number;
    __asm__ volatile("movl %%gs:0, %0" : "=r"(number));
    return &processor_data[number];
}
static inline uint32_t random_below(uint32_t bound) {
    struct Processor* me = self();
    uint32_t x = me->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    me->random = x;
    return (uint32_t)(((uint64_t)x * bound) >> 32);
}

static inline void pause(void) { __asm__ volatile("pause"); }
static inline void barrier(void) { __asm__ volatile("" ::: "memory"); }
GENERAL_REGISTERS static inline void invalidate(uint64_t linear) {
    __asm__ volatile("invlpg (%0)" ::"r"(linear) : "memory");
}
GENERAL_REGISTERS static inline void write_msr(uint32_t index, uint64_t value) {
    __asm__ volatile("wrmsr" ::"c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

// Spin locks. Interrupts stay on, since who holds one may be waiting for this processor's answer.
static inline int try_lock(volatile uint32_t* lock) {
    uint32_t value = 1;
    __asm__ volatile("xchgl %0, %1" : "+r"(value), "+m"(*lock)::"memory");
    return value == 0;
}
// After a while sleeps until the next timer interrupt: where the host has fewer processors, the
// other one may be waiting for its turn.
static inline void wait_a_little(uint32_t* tries) {
    if (++*tries < 1000) pause();
    else __asm__ volatile("hlt" ::: "memory");
}
static inline void lock(volatile uint32_t* it) {
    uint32_t tries = 0;
    while (!try_lock(it)) wait_a_little(&tries);
}
static inline void unlock(volatile uint32_t* it) {
    barrier();
    *it = 0;
}
static inline void add(volatile uint64_t* to, uint64_t value) {
    __asm__ volatile("lock addq %1, %0" : "+m"(*to) : "r"(value) : "memory");
}

// interrupts.c
void set_up_interrupts(void);       // once
void start_interrupts(void);        // on each processor
void start_others(void);
// Every other processor invalidates `linear` (if not 0) and serialises; returns when all have.
void interrupt_all(uint64_t linear);
void send_nmi(uint32_t to);

// Functions whose constants tell their version, in both halves, the upper one inverted.
static inline uint32_t constant_of(uint32_t version) {
    return (version & 0xffff) | (~version << 16);
}
void write_function(uint64_t at, uint32_t version);
// Calls it: the version must be no older than `at_least`.
void call_function(uint64_t at, uint32_t at_least);

// The activities.
void set_up_patching(void);
void patch_code(void);
void call_code(void);
void run_private_code(void);
void set_up_windows(void);
void exchange_page(void);
void use_pages(void);
void check_windows(void);
void exchange_code_page(void);
void count(void);
void check_counters(void);
void pass_messages(void);
void take_turns(void);
void check_turns(void);
void compute(void);
