// String instructions stopped by a page fault leave RCX, RSI and RDI at the element that faulted, and
// go on from there.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define SOURCE TEST_ADDRESS(0)
#define TARGET TEST_ADDRESS(4)

main64:
    MAP(0, FRAME + P + RW)
    MAP(1, FRAME + 0x1000 + P + RW)
    MAP(4, FRAME + 0x4000 + P + RW)
    movl $SOURCE, %edi
    movl $0x800, %ecx
    xorl %eax, %eax
1:  movl %eax, (%rdi)
    addl $4, %edi
    incl %eax
    loop 1b

    // Forwards: the second page of the target is absent until the handler maps it.
    movq $map_it, hook
    movl $SOURCE + 2, %esi
    movl $TARGET + 2, %edi
    movl $0x1800 / 4, %ecx
    cld
copy:
    rep movsl
    EXPECT_EQ(1, faults)
    EXPECT_EQ(0, %ecx)
    cmpq $SOURCE + 2 + 0x1800, %rsi
    CHECK(e)
    cmpq $TARGET + 2 + 0x1800, %rdi
    CHECK(e)
    cmpq $copy, fault_ip
    CHECK(e)
    // The element at the boundary faulted, the ones before are done.
    EXPECT_EQ(0x1800 / 4 - 0xffc / 4, fault_rcx)
    cmpq $TARGET + 0xffe, fault_rdi
    CHECK(e)
    cmpl $TARGET + 0x1000, fault_cr2
    CHECK(e)
    movl $SOURCE + 2, %esi
    movl $TARGET + 2, %edi
    movl $0x1800, %ecx
    repe cmpsb
    CHECK(e)

    // Backwards STOS onto an absent page.
    MAP(4, 0)
    movl $0, faults
    movl $TARGET + 0x1000 + 7, %edi
    movl $16, %ecx
    movb $0x5a, %al
    std
    rep stosb
    cld
    EXPECT_EQ(1, faults)
    EXPECT_EQ(8, fault_rcx)
    cmpq $TARGET + 0xfff, fault_rdi
    CHECK(e)
    movb TARGET + 0xff8, %al
    cmpb $0x5a, %al
    CHECK(e)

    // The flags of a REPE CMPS that faults are as the last comparison left them; RCX zero: nothing.
    xorl %ecx, %ecx
    movl $0x7ffff000, %esi
    rep lodsb
    PASS

map_it:
    incl faults
    movl %ecx, fault_rcx
    movq %rdi, fault_rdi
    pushq %rax
    movq caught_ip, %rax
    movq %rax, fault_ip
    movq %cr2, %rax
    movl %eax, fault_cr2
    movl %eax, %eax
    subl $TEST_PAGE, %eax
    shrl $12, %eax
    pushq %rcx
    movl %eax, %ecx
    shll $12, %ecx
    addl $FRAME + P + RW, %ecx
    movl %ecx, TEST_PT(, %rax, 8)
    popq %rcx
    popq %rax
    iretq

    .data
    .balign 8
fault_ip: .quad 0
fault_rdi: .quad 0
fault_rcx: .long 0
fault_cr2: .long 0
faults: .long 0
