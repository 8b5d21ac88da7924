// 32-bit paging with PSE, PAE paging with its pointer registers, and the changes between them.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

#define DIRECTORY 0x100000
#define TABLE 0x101000
#define POINTERS 0x102000
#define PAE_DIRECTORY 0x103000
#define PAE_TABLE 0x104000
#define FRAME 0x200000
#define X 0x400000 /* the first page of TABLE and PAE_TABLE */

main32:
    movl $DIRECTORY, %edi
    movl $0x5000 / 4, %ecx
    xorl %eax, %eax
    rep stosl
    movl $0x11111111, FRAME
    movl $0x22222222, FRAME + 0x1000

    // The first 4 MiB as one large page: needs PSE.
    movl $P + RW + US + PS, DIRECTORY
    movl $TABLE + P + RW + US, DIRECTORY + 4
    movl $FRAME + P + RW + US, TABLE
    movl $DIRECTORY, %eax
    movl %eax, %cr3
    movl $CR4_PSE, %eax
    movl %eax, %cr4
    movl %cr0, %eax
    orl $CR0_PG | CR0_WP, %eax
    movl %eax, %cr0
    EXPECT_EQ(0x11111111, X)
    EXPECT_EQ(FRAME + P + RW + US + A, TABLE)
    TRY(1f)
    movl X + 0x1000, %eax
    FAIL
1:  CAUGHT(PF, 0)
    EXPECT_EQ(X + 0x1000, caught_cr2)
    TRY(1f)
    movl $X + 0x1000, %eax
    jmp *%eax
1:  CAUGHT(PF, 0) // no I bit here
    movl $FRAME + 0x1000 + P, TABLE + 4
    EXPECT_EQ(0x22222222, X + 0x1000)
    TRY(1f)
    movl %eax, X + 0x1000
    FAIL
1:  CAUGHT(PF, PF_P | PF_W)
    TRY(1f)
    ENTER_USER(user)
user:
    movl %ss:X + 0x1000, %eax
1:  CAUGHT(PF, PF_P | PF_U)
    // Reserved bit 21 of a large page.
    movl $0x200000 + P + RW + PS, DIRECTORY + 8
    TRY(1f)
    movl 0x800000, %eax
    FAIL
1:  CAUGHT(PF, PF_P | PF_RSVD)
    // A fetch under SMEP tells the I bit.
    movl %cr4, %eax
    orl $CR4_SMEP, %eax
    andl $~US, DIRECTORY // this code's own page
    movl %cr3, %ecx
    movl %ecx, %cr3
    movl %eax, %cr4
    TRY(1f)
    movl $X, %eax
    jmp *%eax
1:  CAUGHT(PF, PF_P | PF_I)

    // PAE: off and on again.
    movl %cr0, %eax
    andl $~CR0_PG, %eax
    movl %eax, %cr0
    movl $PAE_DIRECTORY + P, POINTERS
    movl $P + RW + PS, PAE_DIRECTORY
    movl $0x200000 + P + RW + PS, PAE_DIRECTORY + 8
    movl $PAE_TABLE + P + RW, PAE_DIRECTORY + 16
    movl $FRAME + 0x1000 + P + RW, PAE_TABLE
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $POINTERS, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    movl $EFER_NXE, %eax
    xorl %edx, %edx
    wrmsr
    movl %cr0, %eax
    orl $CR0_PG, %eax
    movl %eax, %cr0
    EXPECT_EQ(0x22222222, X)
    movl $0x80000000, PAE_TABLE + 4
    invlpg X
    TRY(1f)
    movl $X, %eax
    jmp *%eax
1:  CAUGHT(PF, PF_P | PF_I)
    EXPECT_EQ(0x22222222, X)

    // The pointers are registers: memory is looked at only when CR3 is loaded.
    movl $0, POINTERS
    invlpg X
    EXPECT_EQ(0x22222222, X)
    movl $PAE_DIRECTORY + P, POINTERS
    movl $PAE_DIRECTORY + P + RW, POINTERS + 8 // a reserved bit
    TRY(1f)
    movl $POINTERS, %eax
    movl %eax, %cr3
    FAIL
1:  CAUGHT(GP, 0)
    movl $0, POINTERS + 8
    movl $POINTERS, %eax
    movl %eax, %cr3
    TRY(1f)
    movl 0x40000000, %eax
    FAIL
1:  CAUGHT(PF, 0)
    // PG without PE.
    TRY(1f)
    movl %cr0, %eax
    andl $~CR0_PE, %eax
    movl %eax, %cr0
    FAIL
1:  CAUGHT(GP, 0)
    // LME may not change while paging is on.
    TRY(1f)
    movl $MSR_EFER, %ecx
    movl $EFER_LME | EFER_NXE, %eax
    wrmsr
    FAIL
1:  CAUGHT(GP, 0)
    PASS
