// 4-level paging: error codes and CR2, W and U rights, NX, reserved bits, accessed and dirty bits.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define PAGE(n) TEST_ADDRESS(n)
#define FAULTS(error, address)          \
    CAUGHT(PF, error);                  \
    EXPECT_EQ(address, caught_cr2)

main64:
    TRY(1f)
    movl PAGE(0) + 0x123, %eax
    FAIL
1:  FAULTS(0, PAGE(0) + 0x123)
    TRY(1f)
    movl %eax, PAGE(0)
    FAIL
1:  FAULTS(PF_W, PAGE(0))
    TRY(1f)
    movl $PAGE(0), %eax
    jmp *%rax
1:  FAULTS(PF_I, PAGE(0))

    // A read sets accessed, a write dirty too.
    MAP(1, FRAME + P + RW)
    movl PAGE(1), %eax
    EXPECT_EQ(FRAME + P + RW + A, TEST_PT + 8)
    movl %eax, PAGE(1)
    EXPECT_EQ(FRAME + P + RW + A + D, TEST_PT + 8)

    // Read-only under CR0.WP; without it the supervisor may write, and dirty is set.
    MAP(2, FRAME + P)
    TRY(1f)
    movl %eax, PAGE(2)
    FAIL
1:  FAULTS(PF_P | PF_W, PAGE(2))
    EXPECT_EQ(FRAME + P, TEST_PT + 16)
    movq %cr0, %rax
    andl $~CR0_WP, %eax
    movq %rax, %cr0
    movl %eax, PAGE(2)
    EXPECT_EQ(FRAME + P + A + D, TEST_PT + 16)
    orl $CR0_WP, %eax
    movq %rax, %cr0
    TRY(1f)
    movl %eax, PAGE(2) // what was cached is forgotten
    FAIL
1:  FAULTS(PF_P | PF_W, PAGE(2))

    // NX.
    movb $0xc3, PAGE(1)
    movl $PAGE(1), %eax
    call *%rax
    movabsq $0x8000000000000000 + FRAME + P + RW, %rcx
    movq %rcx, TEST_PT + 8
    invlpg PAGE(1)
    movb $0xc3, PAGE(1)
    TRY(1f)
    jmp *%rax
1:  FAULTS(PF_P | PF_I, PAGE(1))

    // Reserved bits.
    movabsq $0x0008000000000000 + FRAME + P + RW, %rcx
    movq %rcx, TEST_PT + 8 * 3
    TRY(1f)
    movl PAGE(3), %eax
    FAIL
1:  FAULTS(PF_P | PF_RSVD, PAGE(3))

    // User rights, from CPL 3.
    MAP(4, FRAME + P + RW)
    TRY(1f)
    ENTER_USER64(user1)
user1:
    movl PAGE(4), %eax
1:  FAULTS(PF_P | PF_U, PAGE(4))
    TRY(1f)
    ENTER_USER64(user2)
user2:
    movl %eax, PAGE(5)
1:  FAULTS(PF_W | PF_U, PAGE(5))
    MAP(6, FRAME + P + US)
    TRY(1f)
    ENTER_USER64(user3)
user3:
    movl PAGE(6), %eax
    movl %eax, PAGE(6) + 0xffc
1:  FAULTS(PF_P | PF_W | PF_U, PAGE(6) + 0xffc)
    // The U bit of an upper level counts as well.
    MAP(7, FRAME + P + RW + US)
    andl $~US, TEST_PD
    movq %cr3, %rax
    movq %rax, %cr3
    TRY(1f)
    ENTER_USER64(user4)
user4:
    movl PAGE(7), %eax
1:  FAULTS(PF_P | PF_U, PAGE(7))
    orl $US, TEST_PD
    movq %cr3, %rax
    movq %rax, %cr3

    // An access across two pages: CR2 is the first byte of the second.
    MAP(8, FRAME + P + RW)
    MAP(9, 0)
    TRY(1f)
    movq %rax, PAGE(8) + 0xffc
    FAIL
1:  FAULTS(PF_W, PAGE(9))
    // Nothing was stored in the first page.
    MAP(9, FRAME + 0x1000 + P + RW)
    movl $0x11111111, PAGE(8) + 0xffc
    MAP(9, 0)
    TRY(1f)
    movq $-1, PAGE(8) + 0xffc
    FAIL
1:  EXPECT_EQ(0x11111111, PAGE(8) + 0xffc)

    // Linear addresses must be canonical: #GP, and #SS through the stack.
    movabsq $0x0000800000000000, %rbx
    TRY(1f)
    movl (%rbx), %eax
    FAIL
1:  CAUGHT(GP, 0)
    TRY(1f)
    movq %rbx, %rbp
    movl (%rbp), %eax
    FAIL
1:  CAUGHT(SS, 0)
    TRY(1f)
    jmp *%rbx
1:  CAUGHT(GP, 0)
    PASS
