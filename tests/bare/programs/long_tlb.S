// INVLPG, global pages, PCIDs, INVPCID, CR3 and CR4 writes and what they refuse.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define X TEST_ADDRESS(1)
#define ENTRY (TEST_PT + 8)
#define FRAME2 (FRAME + 0x1000)

main64:
    movl $1111, FRAME
    movl $2222, FRAME2
    MAP(1, FRAME + P + RW)
    EXPECT_EQ(1111, X)
    movl $FRAME2 + P + RW, ENTRY
    invlpg X
    EXPECT_EQ(2222, X)
    movl $FRAME + P + RW, ENTRY
    movq %cr3, %rax
    movq %rax, %cr3
    EXPECT_EQ(1111, X)
    // INVLPG of one byte of a 2 MiB page drops all of it.
    movl 0x3fe00000, %eax
    andl $~P, PD + 8 * 511
    invlpg 0x3ffff000
    TRY(1f)
    movl 0x3fe00000, %eax
    FAIL
1:  CAUGHT(PF, 0)
    orl $P, PD + 8 * 511

    // PCIDs: two address spaces, cached side by side; the architecture allows forgetting, so only
    // that nothing stale is seen can be tested.
    movq %cr4, %rax
    orl $CR4_PCIDE | CR4_PGE, %eax
    movq %rax, %cr4
    EXPECT_EQ(1111, X)
    movl $FRAME2 + P + RW, ENTRY
    movl $PML4 + 5, %eax
    movq %rax, %cr3 // PCID 5: flushes what 5 had
    EXPECT_EQ(2222, X)
    movl $FRAME + P + RW, ENTRY
    invlpg X
    EXPECT_EQ(1111, X)
    movabsq $0x8000000000000000 + PML4, %rax
    movq %rax, %cr3
    movq %cr3, %rax // bit 63 is not kept
    movl $PML4, %ecx
    cmpq %rcx, %rax
    CHECK(e)
    invlpg X
    EXPECT_EQ(1111, X)

    // INVPCID, each type.
    movl $FRAME2 + P + RW, ENTRY
    xorl %ecx, %ecx
    invpcid one_address, %rcx
    EXPECT_EQ(2222, X)
    movl $FRAME + P + RW, ENTRY
    movl $1, %ecx
    invpcid one_address, %rcx
    EXPECT_EQ(1111, X)
    movl $FRAME2 + P + RW + G, ENTRY
    movl $2, %ecx
    invpcid one_address, %rcx
    EXPECT_EQ(2222, X)
    movl $FRAME + P + RW + G, ENTRY
    movl $2, %ecx
    invpcid one_address, %rcx
    EXPECT_EQ(1111, X)
    movl $FRAME2 + P + RW, ENTRY
    invlpg X // global ones too
    EXPECT_EQ(2222, X)
    movl $4, %ecx
    TRY(1f)
    invpcid one_address, %rcx
    FAIL
1:  CAUGHT(GP, 0)
    xorl %ecx, %ecx
    TRY(1f)
    invpcid bad_descriptor, %rcx
    FAIL
1:  CAUGHT(GP, 0)

    // Control registers' refusals.
    movq %cr4, %rbx
    TRY(1f)
    movq %rbx, %rax
    andl $~CR4_PAE, %eax
    movq %rax, %cr4
    FAIL
1:  CAUGHT(GP, 0)
    TRY(1f)
    movq %rbx, %rax
    orl $1 << 12, %eax // LA57 is not offered
    movq %rax, %cr4
    FAIL
1:  CAUGHT(GP, 0)
    movq %cr0, %rbx
    TRY(1f)
    movq %rbx, %rax
    andl $~CR0_PG, %eax
    movq %rax, %cr0
    FAIL
1:  CAUGHT(GP, 0)
    TRY(1f)
    movq %rbx, %rax
    andl $~0x40000000, %eax // NW without CD
    movq %rax, %cr0
    FAIL
1:  CAUGHT(GP, 0)
    TRY(1f)
    btsq $40, %rbx
    movq %rbx, %cr0
    FAIL
1:  CAUGHT(GP, 0)
    TRY(1f)
    movabsq $0x0010000000000000 + PML4, %rax
    movq %rax, %cr3
    FAIL
1:  CAUGHT(GP, 0)
    movl $16, %eax
    TRY(1f)
    movq %rax, %cr8
    FAIL
1:  CAUGHT(GP, 0)
    movl $9, %eax
    movq %rax, %cr8
    movq %cr8, %rcx
    EXPECT_EQ(9, %ecx)
    // PCIDE may only be set while CR3's PCID is 0.
    movl $PML4 + 3, %eax
    movq %cr4, %rbx
    andl $~CR4_PCIDE, %ebx
    movq %rbx, %cr4
    movq %rax, %cr3
    TRY(1f)
    orl $CR4_PCIDE, %ebx
    movq %rbx, %cr4
    FAIL
1:  CAUGHT(GP, 0)
    PASS

    .data
    .balign 16
one_address:
    .quad 0, X
bad_descriptor:
    .quad 0x1000, X
