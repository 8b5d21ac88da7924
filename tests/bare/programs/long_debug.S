// Single step, breakpoints on code, data and ports, DR6, RF, DR7.GD, DR4 and DR5, MOV SS.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define SET_DR(n, value) movq $(value), %rax; movq %rax, %dr##n
#define EXPECT_DR6(bits)     \
    movq %dr6, %rax;         \
    EXPECT_EQ(0xffff0ff0 | (bits), %eax); \
    SET_DR(6, 0xffff0ff0)

main64:
    movq %dr6, %rax
    movl $0xffff0ff0, %ecx
    cmpq %rcx, %rax
    CHECK(e)
    movq %dr7, %rax
    cmpq $0x400, %rax
    CHECK(e)

    // TF set by POPF traps behind the instruction that follows it.
    movq $step, hook
    pushq $0x102
    popfq
    nop
step1:
    nop
step2:
    pushq $2
    popfq
step3:
    nop
    EXPECT_EQ(4, steps)
    cmpq $step1, step_ip
    CHECK(e)
    cmpq $step2, step_ip + 8
    CHECK(e)
    cmpq $step3, step_ip + 24 // POPF that clears it is stepped still
    CHECK(e)
    EXPECT_DR6(1 << 14)

    // INT n is not stepped into.
    movl $0, steps
    movq $step_or_int, hook
    pushq $0x102
    popfq
    int $0x21
after_int:
    pushq $2
    popfq
    EXPECT_EQ(1, ints)
    EXPECT_DR6(1 << 14)
    movq $0, hook

    // A code breakpoint is a fault before the instruction; RF on IRET lets it pass.
    SET_DR(0, breakpoint)
    SET_DR(7, 0x401)
    movq $on_breakpoint, hook
    xorl %ebx, %ebx
breakpoint:
    incl %ebx
    EXPECT_EQ(1, %ebx)
    EXPECT_EQ(1, breakpoints)
    EXPECT_DR6(1)
    movq $0, hook

    // A data breakpoint (write, 4 bytes) is a trap behind the instruction.
    SET_DR(1, watched)
    SET_DR(7, 0x400 | 4 | 0xd << 20)
    movl watched, %eax // reading is free
    TRY(1f)
    movb $7, watched + 3
after_write:
    FAIL
1:  CAUGHT(DB, NO_ERROR)
    EXPECT_EQ(after_write, caught_ip)
    EXPECT_EQ(0x07000000, watched)
    EXPECT_DR6(2)
    movb $7, watched + 4
    movb $7, watched - 1

    // Reads as well (R/W = 3), also by string instructions.
    SET_DR(7, 0x400 | 4 | 0xf << 20)
    TRY(1f)
    movl $watched - 8, %esi
    movl $scratch, %edi
    movl $16, %ecx
    rep movsb
    FAIL
1:  CAUGHT(DB, NO_ERROR)
    EXPECT_DR6(2)

    // A port, with CR4.DE.
    movq %cr4, %rax
    orl $CR4_DE, %eax
    movq %rax, %cr4
    SET_DR(2, 0x80)
    SET_DR(7, 0x400 | 0x10 | 2 << 24)
    TRY(1f)
    outb %al, $0x80
    FAIL
1:  CAUGHT(DB, NO_ERROR)
    EXPECT_DR6(4)

    // MOV SS holds a data breakpoint back for one instruction.
    SET_DR(1, stack_selector)
    SET_DR(7, 0x400 | 4 | 7 << 20)
    TRY(1f)
    movw stack_selector, %ss
    nop
after_shadow:
    FAIL
1:  CAUGHT(DB, NO_ERROR)
    EXPECT_EQ(after_shadow, caught_ip)
    SET_DR(7, 0x400)
    SET_DR(6, 0xffff0ff0)

    // General detection: any access to a debug register; the handler finds GD clear.
    SET_DR(7, 0x2400)
    TRY(1f)
detected:
    movq %dr0, %rax
    FAIL
1:  CAUGHT(DB, NO_ERROR)
    EXPECT_EQ(detected, caught_ip)
    movq %dr7, %rax
    EXPECT_EQ(0x400, %eax)
    EXPECT_DR6(1 << 13)

    // DR4 and DR5 with DE are undefined; without it they are DR6 and DR7.
    TRY(1f)
    .byte 0x0f, 0x21, 0xe0 // MOV RAX, DR4
    FAIL
1:  CAUGHT(UD, NO_ERROR)
    movq %cr4, %rax
    andl $~CR4_DE, %eax
    movq %rax, %cr4
    .byte 0x0f, 0x21, 0xe8 // MOV RAX, DR5
    EXPECT_EQ(0x400, %eax)
    movabsq $0x100000000, %rax
    TRY(1f)
    movq %rax, %dr7
    FAIL
1:  CAUGHT(GP, 0)
    TRY(1f)
    ENTER_USER64(user)
user:
    movq %dr0, %rax
1:  CAUGHT(GP, 0)
    PASS

step:
    pushq %rax
    pushq %rcx
    movl steps, %ecx
    movq caught_ip, %rax
    movq %rax, step_ip(, %rcx, 8)
    incl steps
    popq %rcx
    popq %rax
    iretq

step_or_int:
    cmpq $0x21, caught_vector
    jne 1f
    incl ints
    cmpl $0, steps // no trap on the way in
    je 1f
    FAIL
1:  cmpq $after_int, caught_ip
    jb 2f
    cmpq $0x21, caught_vector
    je 2f
    incl steps
2:  iretq

on_breakpoint:
    incl breakpoints
    cmpq $breakpoint, (%rsp)
    jne 1f
    orl $0x10000, 16(%rsp)
    iretq
1:  FAIL

    .data
    .balign 16
steps: .long 0
ints: .long 0
breakpoints: .long 0
stack_selector: .word DATA64
    .balign 8
step_ip: .fill 16, 8, 0
    .quad 0
watched: .quad 0
    .quad 0
scratch: .fill 4, 8, 0
