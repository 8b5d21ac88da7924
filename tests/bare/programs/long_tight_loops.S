// Interrupts get through to loops of every shape, while they run.
#include "long.h"
PROGRAM(EXPECT_EXIT)

/* Runs `loop`, which never ends, until the alarm's handler goes on at 9. */
#define UNTIL_ALARM(...)     \
    TRY(9f);                 \
    movw $ALARM_PORT, %dx;   \
    movb $0x21, %al;         \
    outb %al, %dx;           \
    sti;                     \
    __VA_ARGS__;             \
    FAIL;                    \
    9: CAUGHT(0x21, NO_ERROR)

main64:
    UNTIL_ALARM(1: jmp 1b)
    EXPECT_EQ(0x21, caught_vector)
    UNTIL_ALARM(1: movl $1b, %eax; jmp *%rax)
    UNTIL_ALARM(1: jmp *self; self: .quad 1b)
    UNTIL_ALARM(1: pushq $1b; ret)
    UNTIL_ALARM(xorl %ecx, %ecx; 1: incl %ecx; orl $1, %ecx; jnz 1b)
    UNTIL_ALARM(1: movl $100, %ecx; 2: loop 2b; jmp 1b)
    UNTIL_ALARM(1: call 2f; jmp 1b; 2: ret)
    UNTIL_ALARM(1: movl $2f, %eax; call *%rax; jmp 1b; 2: ret)
    UNTIL_ALARM(1: movl $0x300000, %edi; movl $0x1000, %ecx; rep stosb; jmp 1b)
    UNTIL_ALARM(1: xorl %ecx, %ecx; 2: incl %ecx; cmpl $1000, %ecx; jb 2b; jmp 1b)
    UNTIL_ALARM(1: pause; jmp 1b)
    // Two blocks that jump to each other, two pages apart.
    movw $0x13eb, 0x300000 // jmp +0x13
    movb $0xe9, 0x300015
    movl $0x2000 - 0x1a, 0x300016
    movb $0xe9, 0x302000
    movl $-0x2005, 0x302001
    movl $0x300000, %eax
    UNTIL_ALARM(jmp 2f; 2: movl $0x300000, %eax; jmp *%rax)

    // In a loop that ends: the interrupt changes nothing that is not its own.
    movl $20, %ebx
again:
    movq $go_on, hook
    movq $0, caught_count
    movw $ALARM_PORT, %dx
    movb $0x22, %al
    outb %al, %dx
    sti
    movl $0x100001, %ecx
    xorl %eax, %eax
    stc
2:  adcl $3, %eax       // flags live from round to round
    leal -1(%rcx), %ecx
    jrcxz 3f
    jmp 2b
3:  cli
    movq $0, hook
    cmpl $20, %ebx
    jne 4f
    movl %eax, expected
4:  cmpl expected, %eax
    CHECK(e)
    decl %ebx
    jnz again
    PASS

go_on:
    iretq

    .data
expected: .quad 0
