// XSETBV and XGETBV: what XCR0 takes, and that XSAVE saves no more than it allows.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define CR4_OSFXSR 0x200
#define CR4_OSXSAVE 0x40000
#define XSETBV(high, low) \
    movl $(low), %eax;    \
    movl $(high), %edx;   \
    xorl %ecx, %ecx;      \
    xsetbv
#define REFUSED(high, low) \
    TRY(1f);               \
    XSETBV(high, low);     \
    FAIL;                  \
    1: CAUGHT(GP, 0)

main64:
    movl $1, %eax
    cpuid
    movl $1 << 28 | 1 << 26, %eax
    andl %eax, %ecx
    cmpl %eax, %ecx
    jne done // no AVX on this processor
    movq %cr4, %rax
    orl $CR4_OSFXSR | CR4_OSXSAVE, %eax
    movq %rax, %cr4
    movl $1, %eax
    cpuid
    testl $1 << 27, %ecx // mirrors CR4.OSXSAVE
    CHECK(nz)

    REFUSED(0, 0)          // x87 is a must
    REFUSED(0, 2)
    REFUSED(0, 5)          // AVX needs SSE
    REFUSED(0, 0x107)      // not offered
    REFUSED(0x80000000, 7)
    XSETBV(0, 3)
    TRY(1f)
    movl $1, %eax
    movl $2, %ecx
    xsetbv
    FAIL
1:  CAUGHT(GP, 0)
    TRY(1f)
    movl $2, %ecx
    xgetbv
    FAIL
1:  CAUGHT(GP, 0)
    xorl %ecx, %ecx
    movl $-1, %edx
    xgetbv
    EXPECT_EQ(3, %eax)
    EXPECT_EQ(0, %edx)

    // XRSTOR of a component that is not enabled.
    movl $7, area + 512
    movl $-1, %eax
    movl %eax, %edx
    TRY(1f)
    xrstor area
    FAIL
1:  CAUGHT(GP, 0)
    movl $0, area + 512
    movl $-1, %eax
    movl %eax, %edx
    xrstor area
    // Only what is asked for and enabled is saved.
    fninit
    fld1
    pcmpeqb %xmm5, %xmm5
    movl $-1, area + 576
    movl $6, %eax
    xorl %edx, %edx
    xsave area
    EXPECT_EQ(2, area + 512)
    EXPECT_EQ(-1, area + 576)
    EXPECT_EQ(-1, area + 160 + 5 * 16)
    XSETBV(0, 7)
    // Not for user code.
    TRY(1f)
    ENTER_USER64(user)
user:
    XSETBV(0, 3)
    FAIL
1:  CAUGHT(GP, 0)
    xorl %ecx, %ecx
    xgetbv
    EXPECT_EQ(7, %eax)
    // Misaligned.
    TRY(1f)
    movl $7, %eax
    xorl %edx, %edx
    xsave area + 16
    FAIL
1:  CAUGHT(GP, 0)
done:
    PASS

    .data
    .balign 64
area: .fill 1024, 1, 0
