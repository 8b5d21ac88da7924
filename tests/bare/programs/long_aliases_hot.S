// One page of code at several linear addresses: what it knows of its own address, what comes
// behind it, and pages that are changed where it is not looked at.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define CODE FRAME
#define ONE (FRAME + 0x1000)
#define TWO (FRAME + 0x2000)
#define BIG 0x3fc00000 /* the last 2 MiB page but one */

main64:
    // What it returns depends on where it runs: LEA, the return address of a call, RIP-relative data.
    movl $where, %esi
    movl $CODE + 0x100, %edi
    movl $where_end - where, %ecx
    rep movsb
    MAP(1, CODE + P + RW)
    MAP(5, CODE + P + RW)
    MAP(9, CODE + P + RW)
    movl $300, %ebx
2:  movl $TEST_ADDRESS(1) + 0x100, %r15d
    call check_where
    movl $TEST_ADDRESS(5) + 0x100, %r15d
    call check_where
    movl $CODE + 0x100, %r15d
    call check_where
    movl $TEST_ADDRESS(9) + 0x100, %r15d
    call check_where
    decl %ebx
    jnz 2b

    // Its last instruction runs on into the next page, which is another one at each address.
    movb $0xb0, CODE + 0xffe // mov $7, %al
    movb $7, CODE + 0xfff
    movl $0xc301b4, ONE // mov $1, %ah; ret
    movl $0xc302b4, TWO
    MAP(2, ONE + P + RW)
    MAP(6, TWO + P + RW)
    movl $300, %ebx
2:  xorl %eax, %eax
    call TEST_ADDRESS(1) + 0xffe
    EXPECT_EQ(0x107, %eax)
    call TEST_ADDRESS(5) + 0xffe
    EXPECT_EQ(0x207, %eax)
    decl %ebx
    jnz 2b
    // And a single instruction that crosses.
    movb $0xb8, CODE + 0xfff // mov $n, %eax
    movl $0x11111111, ONE
    movb $0xc3, ONE + 4
    movl $0x22222222, TWO
    movb $0xc3, TWO + 4
    movl $300, %ebx
2:  call TEST_ADDRESS(1) + 0xfff
    EXPECT_EQ(0x11111111, %eax)
    call TEST_ADDRESS(5) + 0xfff
    EXPECT_EQ(0x22222222, %eax)
    decl %ebx
    jnz 2b
    // What follows changes its mapping under the page that does not.
    MAP(2, TWO + P + RW)
    call TEST_ADDRESS(1) + 0xfff
    EXPECT_EQ(0x22222222, %eax)
    MAP(2, ONE + P + RW)
    call TEST_ADDRESS(1) + 0xfff
    EXPECT_EQ(0x11111111, %eax)
    MAP(2, 0)
    TRY(1f)
    call TEST_ADDRESS(1) + 0xfff
    FAIL
1:  CAUGHT(PF, PF_I)
    EXPECT_EQ(TEST_ADDRESS(2), caught_cr2)
    EXPECT_EQ(TEST_ADDRESS(1) + 0xfff, caught_ip)
    call TEST_ADDRESS(5) + 0xfff
    EXPECT_EQ(0x22222222, %eax)

    // A jump back and forth between two pages of which one is exchanged every time.
    MAP(2, ONE + P + RW)
    movl $0xffe, %edi
    movb $0x00, CODE + 0xfff
    movl $0x000100b8, ONE + 0x10 // mov $0x100, %eax; ret
    movw $0xc300, ONE + 0x14
    movl $0x000200b8, TWO + 0x10
    movw $0xc300, TWO + 0x14
    movb $0xe9, CODE + 0x200 // jmp to the next page
    movl $0x1000 + 0x10 - 0x205, CODE + 0x201
    movl $300, %ebx
2:  MAP(2, ONE + P + RW)
    call TEST_ADDRESS(1) + 0x200
    EXPECT_EQ(0x100, %eax)
    call TEST_ADDRESS(5) + 0x200
    EXPECT_EQ(0x200, %eax)
    MAP(2, TWO + P + RW)
    call TEST_ADDRESS(1) + 0x200
    EXPECT_EQ(0x200, %eax)
    decl %ebx
    jnz 2b

    // Code in a 2 MiB page whose entry changes.
    movb $0xb8, 0x800000
    movl $1, 0x800001
    movb $0xc3, 0x800005
    movb $0xb8, 0xa00000
    movl $2, 0xa00001
    movb $0xc3, 0xa00005
    movl $100, %ebx
    movl $BIG, %r15d
2:  movl $0x800000 + P + RW + PS, PD + 8 * (BIG >> 21)
    invlpg BIG + 0x1234
    call *%r15
    EXPECT_EQ(1, %eax)
    movl $0xa00000 + P + RW + PS, PD + 8 * (BIG >> 21)
    invlpg BIG + 0x1ff000
    call *%r15
    EXPECT_EQ(2, %eax)
    decl %ebx
    jnz 2b
    // Changed through the small address, run at the large one, and the other way round.
    movl $100, %ebx
2:  movl %ebx, 0xa00001
    call *%r15
    cmpl %ebx, %eax
    CHECK(e)
    incl BIG + 1
    movl $0xa00000, %ecx
    call *%rcx
    decl %eax
    cmpl %ebx, %eax
    CHECK(e)
    decl %ebx
    jnz 2b
    PASS

check_where:
    xorl %eax, %eax
    call *%r15
    leaq where_lea - where(%r15), %rdi
    cmpq %rdi, %rax
    CHECK(e)
    leaq where_call - where(%r15), %rdi
    cmpq %rdi, %rdx
    CHECK(e)
    EXPECT_EQ(0x5151, %ecx)
    ret

where:
    leaq where_lea(%rip), %rax
where_lea:
    call 1f
where_call:
1:  popq %rdx
    movl 2f(%rip), %ecx
    pushq %rdx
    jmp 3f
2:  .long 0x5151
3:  popq %rdx
    ret
where_end:
