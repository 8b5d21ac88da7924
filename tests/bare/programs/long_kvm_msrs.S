// The MSRs of KVM's guests: what is told, where, and what is refused [msr.rst].
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define MSR_SYSTEM_TIME_OLD 0x12
#define MSR_WALL_CLOCK 0x4b564d00
#define MSR_SYSTEM_TIME 0x4b564d01
#define MSR_ASYNC_PF 0x4b564d02
#define MSR_STEAL_TIME 0x4b564d03
#define MSR_PV_EOI 0x4b564d04
#define MSR_TSC 0x10
#define MSR_TSC_ADJUST 0x3b
#define PLACE 0x300000

#define WRITE(number, low, high) \
    movl $(number), %ecx;        \
    movl $(low), %eax;           \
    movl $(high), %edx;          \
    wrmsr
#define READS(number, low, high) \
    movl $(number), %ecx;        \
    rdmsr;                       \
    EXPECT_EQ(low, %eax);        \
    EXPECT_EQ(high, %edx)
#define REFUSES(number, low) \
    TRY(1f);                 \
    WRITE(number, low, 0);   \
    FAIL;                    \
    1: CAUGHT(GP, 0)

main64:
    REFUSES(MSR_SYSTEM_TIME, PLACE + 1)
    outb %al, $HYPERVISOR_PORT

    REFUSES(MSR_ASYNC_PF, PLACE + 1)
    REFUSES(MSR_STEAL_TIME, PLACE + 3)
    REFUSES(MSR_PV_EOI, PLACE + 3)
    REFUSES(0x4b564d09, 0)

    /* The clock: 2 GHz are half a nanosecond a tick, counted from the machine's start. */
    WRITE(MSR_SYSTEM_TIME, PLACE + 1, 0)
    READS(MSR_SYSTEM_TIME_OLD, PLACE + 1, 0)
    EXPECT_EQ(2, PLACE)
    EXPECT_EQ(0, PLACE + 8)
    EXPECT_EQ(0, PLACE + 12)
    EXPECT_EQ(0x80000000, PLACE + 24)
    cmpb $0, PLACE + 28
    CHECK(e)
    cmpb $1, PLACE + 29
    CHECK(e)

    /* A moved TSC is told at once. */
    WRITE(MSR_TSC_ADJUST, 0x12345678, 0x9a)
    EXPECT_EQ(0x12345678, PLACE + 8)
    EXPECT_EQ(0x9a, PLACE + 12)
    EXPECT_EQ(4, PLACE)
    WRITE(MSR_TSC, 0, 0)
    EXPECT_EQ(6, PLACE)
    movl $MSR_TSC_ADJUST, %ecx
    rdmsr
    cmpl %eax, PLACE + 8
    CHECK(e)
    cmpl %edx, PLACE + 12
    CHECK(e)

    /* What is told is memory like all other: here, where it began, it is code. "mov $N, %eax; ret" */
    movl $1, %r12d
1:  movl %r12d, %eax
    shll $8, %eax
    movb $0xb8, %al
    movl $0xc300, %edx
    movl $MSR_TSC_ADJUST, %ecx
    wrmsr
    movl $100, %r13d
2:  movl $PLACE + 8, %ecx
    call *%rcx
    cmpl %r12d, %eax
    CHECK(e)
    decl %r13d
    jnz 2b
    incl %r12d
    cmpl $50, %r12d
    jb 1b

    /* Nobody is told at addresses without memory. */
    WRITE(MSR_SYSTEM_TIME, 1, 0x7fff)
    WRITE(MSR_TSC_ADJUST, 5, 0)
    WRITE(MSR_SYSTEM_TIME, 0xffffffff, 0xffffffff)
    WRITE(MSR_SYSTEM_TIME, MANAGEMENT_PAGE + 1, 0)
    WRITE(MSR_SYSTEM_TIME, FLASH + 1, 0)
    WRITE(MSR_TSC_ADJUST, 6, 0)
    movl $FLASH + P + RW, %eax
    movq %rax, TEST_PT
    EXPECT_EQ(0x03020100, TEST_ADDRESS(0))
    EXPECT_EQ(0x1f1e1d1c, TEST_ADDRESS(0) + 28)
    WRITE(MSR_SYSTEM_TIME, PLACE, 0) /* switched off */
    movl $77, PLACE
    WRITE(MSR_TSC_ADJUST, 7, 0)
    EXPECT_EQ(77, PLACE)

    WRITE(MSR_WALL_CLOCK, PLACE + 0x100, 0)
    READS(MSR_WALL_CLOCK, PLACE + 0x100, 0)
    EXPECT_EQ(2, PLACE + 0x100)

    WRITE(MSR_STEAL_TIME, PLACE + 0x201, 0)
    READS(MSR_STEAL_TIME, PLACE + 0x201, 0)
    WRITE(MSR_PV_EOI, PLACE + 0x301, 0)
    READS(MSR_PV_EOI, PLACE + 0x301, 0)
    PASS
