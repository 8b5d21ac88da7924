// Where things are in the torture guest's memory. Included by the guest's assembler and C and by
// the host's C++.
#define IMAGE 0x8000
#define PARAMETERS 0x7000
#define PAGE_TABLES 0x100000
#define WINDOW_TABLE 0x104000
#define STACKS 0x200000
#define STACK_SHIFT 16
#define FRAMES 0x400000       /* physical pages behind the windows */
#define PATCHED_CODE 0x500000 /* functions that are modified while others call them */
#define DMA_CODE 0x510000     /* one that the host modifies */
#define PRIVATE_CODE 0x520000 /* a buffer for each processor, all in one page */
#define WINDOWS 0x40000000    /* linear */

#define MOST_PROCESSORS 8
#define EXIT_PORT 0xf4

/* A function here is NOP, then MOV EAX with an aligned constant, then RET. */
#define FUNCTION_CONSTANT 4
