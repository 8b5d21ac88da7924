// What each processor does until the host says stop, and the checks at the end.
#include "guest.h"

struct Processor processor_data[MOST_PROCESSORS];
static volatile uint32_t ready, finished;

void fail(const char* file, uint32_t line, const char* condition, uint64_t first,
          uint64_t second) {
    uint32_t value = 1;
    __asm__ volatile("cli; xchgl %0, %1" : "+r"(value), "+m"(parameters.failed)::"memory");
    if (value == 0) {
        parameters.file = (uint64_t)file;
        parameters.line = line;
        parameters.condition = (uint64_t)condition;
        parameters.values[0] = first;
        parameters.values[1] = second;
        parameters.processor = self()->number;
        __asm__ volatile("outl %0, %w1" ::"a"(1), "d"(EXIT_PORT));
    }
    for (;;) __asm__ volatile("hlt");
}

void unexpected_exception(uint64_t vector, uint64_t error, uint64_t rip, uint64_t address);
void unexpected_exception(uint64_t vector, uint64_t error, uint64_t rip, uint64_t address) {
    (void)address;
    fail("unexpected exception (value: address of the instruction, error code)", (uint32_t)vector,
         "vector", rip, error);
}

static void barrier_of_all(volatile uint32_t* arrived) {
    __asm__ volatile("lock incl %0" : "+m"(*arrived)::"memory");
    while (*arrived % parameters.processors != 0) pause();
}

// Interrupts are held off for a while, or waited for.
static void idle(void) {
    if (random_below(20) != 0) {
        __asm__ volatile("cli");
        for (uint32_t i = random_below(300); i > 0; --i) barrier();
        __asm__ volatile("sti");
    } else {
        __asm__ volatile("sti; hlt");
    }
}

static void one_round(struct Processor* me) {
    // What all others must answer is rare: that takes long where the host has fewer processors.
    const uint32_t what = random_below(1000);
    uint32_t counted = 0;
    if (what < 8) patch_code(), counted = 0;
    else if (what < 300) call_code(), run_private_code(), counted = 1;
    else if (what < 308) exchange_page(), counted = 2;
    else if (what < 312) exchange_code_page(), counted = 2;
    else if (what < 550) use_pages(), counted = 3;
    else if (what < 750) count(), counted = 4;
    else if (what < 820) pass_messages(), counted = 5;
    else if (what < 830) take_turns(), counted = 5;
    else if (what < 980) compute(), counted = 6;
    else if (what < 990) send_nmi(random_below(parameters.processors)), counted = 7;
    else idle(), counted = 7;
    ++me->rounds[counted];
}

static void report(void) {
    for (uint32_t p = 0; p < parameters.processors; ++p) {
        for (unsigned i = 0; i < 8; ++i) parameters.rounds[i] += processor_data[p].rounds[i];
        parameters.timer_interrupts += processor_data[p].timer_interrupts;
        parameters.ipis += processor_data[p].ipis;
        parameters.nmis += processor_data[p].nmis;
    }
}

void processor_main(uint32_t number);
void processor_main(uint32_t number) {
    struct Processor* me = &processor_data[number];
    me->number = number;
    me->random = parameters.seed * 2654435761u + number * 40503u + 1;
    write_msr(0xc0000101, (uint64_t)me);  // GS base
    if (number == 0) {
        set_up_interrupts();
        set_up_patching();
        set_up_windows();
    }
    start_interrupts();
    if (number == 0) start_others();
    barrier_of_all(&ready);
    while (!parameters.stop) one_round(me);
    // Every timer must have worked; a processor that waits here still answers the others.
    while (me->timer_interrupts < 10) __asm__ volatile("sti; hlt");
    __asm__ volatile("lock incl %0" : "+m"(finished)::"memory");
    uint32_t tries = 0;
    while (finished < parameters.processors) wait_a_little(&tries);
    if (number != 0) {
        for (;;) __asm__ volatile("sti; hlt");
    }
    check_windows();
    check_counters();
    check_turns();
    report();
    __asm__ volatile("outl %0, %w1" ::"a"(0), "d"(EXIT_PORT));
    for (;;) __asm__ volatile("cli; hlt");
}
