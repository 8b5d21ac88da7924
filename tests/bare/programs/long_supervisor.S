// SMEP, SMAP with STAC and CLAC, and that implicit accesses are not lifted by AC: the LDT lies on
// a user page.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define UPAGE TEST_ADDRESS(1) /* user page */
#define SPAGE TEST_ADDRESS(2) /* supervisor page */

main64:
    // The kernel's own pages must not be user pages now: one to one, 2 MiB, no US.
    xorl %ecx, %ecx
1:  andl $~US, PD(, %rcx, 8)
    incl %ecx
    cmpl $512, %ecx
    jb 1b
    movq %cr3, %rax
    movq %rax, %cr3
    MAP(1, FRAME + P + RW + US)
    MAP(2, FRAME + P + RW)
    movb $0xc3, UPAGE
    movl $UPAGE, %ebx
    movl $SPAGE, %ebp
    call *%rbx // allowed before SMEP

    movq %cr4, %rax
    orl $CR4_SMEP, %eax
    movq %rax, %cr4
    TRY(1f)
    call *%rbx
    FAIL
1:  CAUGHT(PF, PF_P | PF_I)
    EXPECT_EQ(UPAGE, caught_cr2)
    call *%rbp
    movl UPAGE, %eax // data is not SMEP's business

    movq %cr4, %rax
    orl $CR4_SMAP, %eax
    movq %rax, %cr4
    TRY(1f)
    movl UPAGE, %eax
    FAIL
1:  CAUGHT(PF, PF_P)
    TRY(1f)
    movl %eax, UPAGE
    FAIL
1:  CAUGHT(PF, PF_P | PF_W)
    stac
    movl UPAGE, %eax
    movl %eax, UPAGE + 4
    clac
    TRY(1f)
    movl UPAGE, %eax
    FAIL
1:  CAUGHT(PF, PF_P)
    // An LDT on a user page is read implicitly: AC does not help.
    SET_SLOT(0, UPAGE, 0xfff, 0x82, 0)
    SET_SLOT(1, 0, 0, 0, 0) // upper half of a 16-byte descriptor
    stac
    movl $0x0000ffff, UPAGE + 8
    movl $0x00cf9300, UPAGE + 12
    movl $SLOT0, %ecx
    lldt %cx
    movl $8 | 4, %ecx
    TRY(1f)
    stac
    movw %cx, %es
    FAIL
1:  CAUGHT(PF, PF_P)
    EXPECT_EQ(UPAGE + 8, caught_cr2)
    movq %cr4, %rax
    andl $~CR4_SMAP, %eax
    movq %rax, %cr4
    movl $8 | 4, %ecx
    movw %cx, %es
    PASS
