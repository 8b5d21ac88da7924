// Descriptors, the local APIC in x2APIC mode, and the interrupts between processors.
#include "guest.h"

enum { kNmi = 2, kBreakpoint = 3, kPageFault = 14, kTimer = 0x30, kRequest = 0x40,
       kSpurious = 0xff };
enum { kApicBase = 0x1b, kEoi = 0x80b, kSvr = 0x80f, kIcr = 0x830, kLvtTimer = 0x832,
       kInitialCount = 0x838, kDivide = 0x83e, kDeadline = 0x6e0 };

struct Gate {
    uint64_t low, high;
};
struct Frame {
    uint64_t rip, cs, rflags, rsp, ss;
};
static struct Gate idt[256] __attribute__((aligned(16)));
extern const char exception_stubs[];

// What processor s asks of all others, with vector kRequest + s.
static struct {
    volatile uint64_t linear;
    volatile uint32_t answers;
} requests[MOST_PROCESSORS];

static void set_gate(unsigned vector, uint64_t handler) {
    idt[vector].low = (handler & 0xffff) | 0x10ull << 16 | 0x8e00ull << 32 |
                      (handler >> 16 & 0xffff) << 48;
    idt[vector].high = handler >> 32;
}

GENERAL_REGISTERS static void end_of_interrupt(void) { write_msr(kEoi, 0); }

GENERAL_REGISTERS static void arm_timer(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    write_msr(kDeadline, (((uint64_t)high << 32) | low) + parameters.tsc_ticks);
}

__attribute__((interrupt, target("general-regs-only"))) static void on_timer(struct Frame* frame) {
    (void)frame;
    struct Processor* me = self();
    ++me->timer_interrupts;
    if ((me->number & 1) != 0) arm_timer();
    end_of_interrupt();
}

__attribute__((interrupt, target("general-regs-only"))) static void on_nmi(struct Frame* frame) {
    (void)frame;
    ++self()->nmis;
}

// Somebody is modifying this instruction: try again until it is done.
__attribute__((interrupt, target("general-regs-only"))) static void on_breakpoint(
    struct Frame* frame) {
    frame->rip -= 1;
    if (frame->rip < PATCHED_CODE || frame->rip >= PATCHED_CODE + 0x10000) {
        fail(__FILE__, __LINE__, "a breakpoint nobody set", frame->rip, 0);
    }
    __asm__ volatile("pause");
}

// A page is being exchanged, likewise.
__attribute__((interrupt, target("general-regs-only"))) static void on_page_fault(
    struct Frame* frame, uint64_t error) {
    uint64_t address;
    __asm__ volatile("movq %%cr2, %0" : "=r"(address));
    if (address < WINDOWS || address >= WINDOWS + 0x200000) {
        fail(__FILE__, __LINE__, "a page fault outside the windows", frame->rip, error);
    }
    __asm__ volatile("pause");
}

__attribute__((interrupt, target("general-regs-only"))) static void on_spurious(
    struct Frame* frame) {
    (void)frame;
}

GENERAL_REGISTERS static inline void answer(uint32_t from) {
    if (requests[from].linear != 0) invalidate(requests[from].linear);
    ++self()->ipis;
    __asm__ volatile("lock incl %0" : "+m"(requests[from].answers)::"memory");
    end_of_interrupt();
}
#define ON_REQUEST(n)                                                                       \
    __attribute__((interrupt, target("general-regs-only"))) static void on_request_##n(     \
        struct Frame* frame) {                                                              \
        (void)frame;                                                                        \
        answer(n);                                                                          \
    }
ON_REQUEST(0)
ON_REQUEST(1)
ON_REQUEST(2)
ON_REQUEST(3)
ON_REQUEST(4)
ON_REQUEST(5)
ON_REQUEST(6)
ON_REQUEST(7)

void set_up_interrupts(void) {
    for (unsigned i = 0; i < 32; ++i) set_gate(i, (uint64_t)exception_stubs + 16 * i);
    set_gate(kNmi, (uint64_t)on_nmi);
    set_gate(kBreakpoint, (uint64_t)on_breakpoint);
    set_gate(kPageFault, (uint64_t)on_page_fault);
    set_gate(kTimer, (uint64_t)on_timer);
    set_gate(kSpurious, (uint64_t)on_spurious);
    const uint64_t handlers[MOST_PROCESSORS] = {
        (uint64_t)on_request_0, (uint64_t)on_request_1, (uint64_t)on_request_2,
        (uint64_t)on_request_3, (uint64_t)on_request_4, (uint64_t)on_request_5,
        (uint64_t)on_request_6, (uint64_t)on_request_7};
    for (unsigned i = 0; i < MOST_PROCESSORS; ++i) set_gate(kRequest + i, handlers[i]);
}

void start_interrupts(void) {
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = {sizeof idt - 1, (uint64_t)idt};
    __asm__ volatile("lidt %0" ::"m"(pointer));
    write_msr(kApicBase, 0xfee00c00 | (self()->number == 0 ? 0x100 : 0));  // x2APIC
    write_msr(kSvr, 0x100 | kSpurious);
    // Half of the processors count down, the other half use the TSC.
    if ((self()->number & 1) == 0) {
        write_msr(kDivide, 0xb);
        write_msr(kLvtTimer, 1 << 17 | kTimer);
        write_msr(kInitialCount, parameters.timer_ticks);
    } else {
        write_msr(kLvtTimer, 2 << 17 | kTimer);
        arm_timer();
    }
    __asm__ volatile("sti");
}

void start_others(void) {
    enum { kInit = 0xc4500, kStartup = 0xc4600 };  // to all but self
    if (parameters.processors == 1) return;
    write_msr(kIcr, kInit);
    write_msr(kIcr, kStartup | IMAGE >> 12);
}

void interrupt_all(uint64_t linear) {
    const uint32_t me = self()->number;
    requests[me].linear = linear;
    requests[me].answers = 0;
    if (linear != 0) invalidate(linear);
    enum { kAllButSelf = 0xc0000 };
    // Writing this MSR orders nothing: what others are to see must be visible before it.
    __asm__ volatile("mfence" ::: "memory");
    write_msr(kIcr, (uint64_t)(kAllButSelf | (kRequest + me)));
    uint32_t tries = 0;
    while (requests[me].answers != parameters.processors - 1) wait_a_little(&tries);
    barrier();
}

void send_nmi(uint32_t to) {
    // On this machine APIC ids are numbers of processors.
    write_msr(kIcr, (uint64_t)to << 32 | 0x4400);
}
