// Single steps and breakpoints in code that was hot before, and is again afterwards.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define SET_DR(n, value) movq $(value), %rax; movq %rax, %dr##n

main64:
    // Hot first.
    movl $1000, %ecx
    call work
    EXPECT_EQ(500500, %eax)

    // Every instruction of a hot loop is stepped: 4 for each round, and a few around it.
    movq $count_step, hook
    movq $0, steps
    movl $50, %ecx
    pushq $0x102
    popfq
    call work
    pushq $2
    popfq
    EXPECT_EQ(1275, %eax)
    EXPECT_EQ(1 + 2 + 3 * 50 + 1 + 2, steps)
    movq $0, hook
    // Not any more.
    movl $1000, %ecx
    call work
    EXPECT_EQ(500500, %eax)
    EXPECT_EQ(1 + 2 + 3 * 50 + 1 + 2, steps)

    // The trap flag is set in the middle of a hot loop, in one of its rounds only.
    movq $count_step, hook
    movq $0, steps
    movl $1000, %ecx
2:  movl $2, %eax
    cmpl $500, %ecx
    jne 3f
    movl $0x102, %eax
3:  pushq %rax
    popfq
    decl %ecx
    jnz 2b
    EXPECT_EQ(7, steps)
    movq $0, hook

    // A breakpoint on code in the hot loop, hit in every round.
    SET_DR(0, work_loop)
    SET_DR(7, 0x401)
    movq $count_breakpoint, hook
    movq $0, steps
    movl $100, %ecx
    call work
    EXPECT_EQ(5050, %eax)
    EXPECT_EQ(100, steps)
    SET_DR(7, 0x400)
    movl $100, %ecx
    call work
    EXPECT_EQ(100, steps)

    // Set from within the loop.
    movq $0, steps
    movl $100, %ecx
2:  cmpl $10, %ecx
    jne 3f
    SET_DR(0, 4f)
    SET_DR(7, 0x401)
3:  nop
4:  nop
    decl %ecx
    jnz 2b
    EXPECT_EQ(10, steps)
    SET_DR(7, 0x400)

    // On data: the trap comes behind the store, in the round that makes it.
    movq $count_data, hook
    movq $0, steps
    SET_DR(1, cells + 8 * 70)
    SET_DR(7, 0x400 | 4 | 9 << 20)
    movq $0, steps
    call fill
    EXPECT_EQ(1, steps)
    EXPECT_EQ(70, seen)
    SET_DR(7, 0x400)
    call fill
    EXPECT_EQ(1, steps)
    // Of eight bytes, read or written, read by a hot loop.
    SET_DR(7, 0x400 | 4 | 0xb << 20)
    xorl %ecx, %ecx
    xorl %edx, %edx
2:  addq cells(, %rcx, 8), %rdx
    incl %ecx
    cmpl $100, %ecx
    jb 2b
    EXPECT_EQ(2, steps)
    EXPECT_EQ(4950, %edx)
    SET_DR(7, 0x400)
    movq $0, hook

    // INT3 in a hot loop is taken every time, with the right address behind it.
    movq $count_int3, hook
    movq $0, steps
    movl $200, %ecx
2:  int3
after_int3:
    decl %ecx
    jnz 2b
    EXPECT_EQ(200, steps)
    movq $0, hook
    PASS

// The sum of 1 to %ecx.
work:
    xorl %eax, %eax
    nop
work_loop:
    addl %ecx, %eax
    decl %ecx
    jnz work_loop
    ret

fill:
    xorl %ecx, %ecx
1:  movq %rcx, cells(, %rcx, 8)
    incl %ecx
    cmpl $100, %ecx
    jb 1b
    ret

count_step:
    cmpl $DB, caught_vector
    jne unexpected
    incq steps
    iretq
count_breakpoint:
    cmpl $DB, caught_vector
    jne unexpected
    incq steps
    orl $0x10000, 16(%rsp) // RF
    iretq
count_data:
    cmpl $DB, caught_vector
    jne unexpected
    movq %rcx, seen
    incq steps
    iretq
count_int3:
    cmpl $BP, caught_vector
    jne unexpected
    cmpq $after_int3, (%rsp)
    jne unexpected
    incq steps
    iretq
unexpected:
    FAIL
1:  hlt
    jmp 1b

    .data
    .balign 8
steps: .quad 0
seen: .quad 0
cells: .fill 100, 8, 0
