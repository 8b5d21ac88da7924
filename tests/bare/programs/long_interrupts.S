// External interrupts and NMIs: IF, the shadow of STI, NMI blocking until IRET, stacks.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define RAISE(vector) movb $(vector), %al; outb %al, $INTERRUPT_PORT

main64:
    movq $count, hook
    RAISE(0x25)
    nop
    EXPECT_EQ(0, counter) // IF is clear
    sti
    EXPECT_EQ(0, counter) // one instruction still: the CMP
    nop
    EXPECT_EQ(1, counter)
    EXPECT_EQ(0x25, caught_vector)
    testl $0x200, caught_flags
    CHECK(nz)
    // The stack is aligned to 16 for the frame.
    leaq -40(%rsp), %rax
    subq $8, %rsp
    RAISE(0x26)
    nop
    EXPECT_EQ(2, counter)
    movq handler_sp, %rax
    testb $15, %al
    CHECK(nz) // five quadwords below an aligned one
    movq %rsp, %rax
    cmpq %rax, caught_sp
    CHECK(e)
    addq $8, %rsp
    cli

    // NMI: not masked by IF, blocked until IRET.
    movq $nmi, hook
    outb %al, $NMI_PORT
    nop
    EXPECT_EQ(2, nmis)
    EXPECT_EQ(1, deepest)

    // An interrupt at CPL 3 uses RSP0.
    movq $0, hook
    TRY(1f)
    pushq $USER_DATA
    pushq $USER_STACK
    pushq $0x3202
    pushq $USER_CODE64
    pushq $user
    iretq
user:
    RAISE(0x27)
    nop
    jmp user
1:  CAUGHT(0x27, NO_ERROR)
    cmpq $INNER_STACK - 40, handler_sp
    CHECK(e)
    EXPECT_EQ(USER_DATA, caught_ss)
    PASS

count:
    incl counter
    iretq

// Raises another NMI within: it must wait for the IRET.
nmi:
    incl nmis
    incl depth
    movl depth, %eax
    cmpl deepest, %eax
    jbe 1f
    movl %eax, deepest
1:  cmpl $1, nmis
    jne 2f
    outb %al, $NMI_PORT
    nop
    nop
2:  decl depth
    iretq

    .data
counter: .long 0
nmis: .long 0
depth: .long 0
deepest: .long 0
