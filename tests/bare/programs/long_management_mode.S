// clang-format off
// SMI and RSM: what the handler finds, what it may change, what comes back; memory that only it
// sees; SMBASE moved; RSM elsewhere is undefined.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define SMBASE 0x30000
#define NEW_SMBASE 0x40000
#define SAVED(offset) (SMBASE + offset)
#define SMI movb $1, %al; outb %al, $SMI_PORT

main64:
    TRY(1f)
    rsm
    FAIL
1:  CAUGHT(UD, NO_ERROR)

    movl $handler, %esi
    movl $SMBASE + 0x8000, %edi
    movl $handler_end - handler, %ecx
    rep movsb
    movq $0x1122334455667788, %r13
    movq $0xfedcba9876543210, %rbx
    movl $MANAGEMENT_PAGE, %r9d
    movl $300, %r12d
2:  movl $0, SMBASE + 0x7000
    stc
    SMI
    CHECK(c)
    EXPECT_EQ(1, SMBASE + 0x7000)
    EXPECT_EQ(0x55667788, %r13d)
    movq $0xfedcba9876543210, %rax
    cmpq %rax, %rbx
    CHECK(e)
    // The page is hidden from us; the handler counted in it.
    EXPECT_EQ(0xffffffff, (%r9))
    decl %r12d
    jnz 2b
    EXPECT_EQ(300, SMBASE + 0x7004)

    // The handler saw 64-bit mode and our registers.
    EXPECT_EQ(0x00020064, SAVED(0xfefc))
    EXPECT_EQ(SMBASE, SAVED(0xff00))
    EXPECT_EQ(0x55667788, SAVED(0xfff8 - 8 * 13))
    EXPECT_EQ(0x11223344, SAVED(0xfffc - 8 * 13))
    movq %cr3, %rax
    cmpq %rax, SAVED(0xff50)
    CHECK(e)
    EXPECT_EQ(CODE64, SMBASE + 0x7008)

    // What it changes in the area is what we go on with.
    movl $0x12345678, SMBASE + 0x700c
    SMI
    EXPECT_EQ(0x12345678, %r14d)
    movl $0, SMBASE + 0x700c

    // SMBASE moved by the handler: the next one runs there.
    movl $handler, %esi
    movl $NEW_SMBASE + 0x8000, %edi
    movl $handler_end - handler, %ecx
    rep movsb
    movl $0, NEW_SMBASE + 0x7000
    movl $0, NEW_SMBASE + 0x700c
    movl $0, NEW_SMBASE + 0x7010
    movl $NEW_SMBASE, SMBASE + 0x7010
    SMI
    EXPECT_EQ(0, NEW_SMBASE + 0x7000)
    SMI
    EXPECT_EQ(1, NEW_SMBASE + 0x7000)
    EXPECT_EQ(NEW_SMBASE, NEW_SMBASE + 0xff00)

    // An NMI waits for the end of the handler, where it asks for one.
    TRY(1f)
    movl $1, NEW_SMBASE + 0x7014
    SMI
    nop
    FAIL
1:  CAUGHT(NMI, NO_ERROR)
    EXPECT_EQ(2, NEW_SMBASE + 0x7000)
    PASS

    .data
    .balign 16
    .code16
handler:
    // CS:0 is SMBASE; the data segments are flat, and we are in real mode.
    movl %cr0, %eax
    testl $0x80000001, %eax
    jnz 9f
    cs; addl $1, 0x7000
    movl $MANAGEMENT_PAGE, %ebx
    cs; movl 0xfe10, %eax
    andl $0xffff, %eax
    cs; movl %eax, 0x7008
    movl (%ebx), %eax
    incl %eax
    movl %eax, (%ebx)
    cs; movl %eax, 0x7004
    cs; movl 0x700c, %eax
    testl %eax, %eax
    jz 1f
    cs; movl %eax, 0xfff8 - 8 * 14
1:  cs; movl 0x7010, %eax
    testl %eax, %eax
    jz 1f
    cs; movl %eax, 0xff00
1:  cs; movl 0x7014, %eax
    testl %eax, %eax
    jz 9f
    outb %al, $NMI_PORT
    nop
    nop
9:  rsm
handler_end:
