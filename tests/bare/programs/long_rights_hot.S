// Code that is hot when what it may do changes: privilege, write protection, SMAP, SMEP, alignment
// checking, the FPU's and AVX' switches, the time-stamp counter, dirty bits.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define CR0_EM 4
#define CR0_TS 8
#define CR4_OSXSAVE 0x40000
#define SET_CR(n, set, clear)   \
    movq %cr##n, %rax;          \
    orl $(set), %eax;           \
    andl $~(clear), %eax;       \
    movq %rax, %cr##n
#define REPEAT(n, what) movl $(n), %ecx; 78: pushq %rcx; call what; popq %rcx; decl %ecx; jnz 78b
/* At CPL 3; comes back at the label by an event. */
#define AT_USER(label) ENTER_USER64(label)
#define X TEST_ADDRESS(1)

main64:
    SET_CR(0, 2, CR0_EM) // MP
    SET_CR(4, 0x600, 0)
    fninit
    MAP(1, FRAME + P + RW) // the supervisor's
    // Hot at CPL 0, refused at CPL 3.
    movl $20, %ebp
again:
    REPEAT(50, store)
    TRY(1f)
    AT_USER(store)
1:  CAUGHT(PF, PF_P | PF_W | PF_U)
    EXPECT_EQ(store, caught_ip)
    TRY(1f)
    AT_USER(load)
1:  CAUGHT(PF, PF_P | PF_U)
    REPEAT(50, privileged)
    TRY(1f)
    AT_USER(privileged)
1:  CAUGHT(GP, 0)
    decl %ebp
    jnz again

    // Write protection of the supervisor, on and off.
    MAP(1, FRAME + P)
    movl $50, %ebp
2:  SET_CR(0, 0, CR0_WP)
    call store
    SET_CR(0, CR0_WP, 0)
    TRY(1f)
    call store
    FAIL
1:  CAUGHT(PF, PF_P | PF_W)
    decl %ebp
    jnz 2b

    // SMAP and its override by AC; SMEP. This program is in user pages, which must cease first.
    MAP(1, FRAME + P + RW + US)
    REPEAT(50, store)
    andl $~US, PD
    invlpg main64
    SET_CR(4, CR4_SMAP, 0)
    movl $50, %ebp
2:  stac
    call store
    call load
    clac
    TRY(1f)
    call store
    FAIL
1:  CAUGHT(PF, PF_P | PF_W)
    TRY(1f)
    call load
    FAIL
1:  CAUGHT(PF, PF_P)
    decl %ebp
    jnz 2b
    SET_CR(4, 0, CR4_SMAP)
    movb $0xc3, FRAME + 0x800
    MAP(2, FRAME + P + RW + US)
    movl $20, %ebp
2:  call TEST_ADDRESS(2) + 0x800
    SET_CR(4, CR4_SMEP, 0)
    TRY(1f)
    call TEST_ADDRESS(2) + 0x800
    FAIL
1:  CAUGHT(PF, PF_P | PF_I)
    SET_CR(4, 0, CR4_SMEP)
    decl %ebp
    jnz 2b
    orl $US, PD
    invlpg main64

    // Alignment checks, at CPL 3 only.
    MAP(1, FRAME + P + RW + US)
    SET_CR(0, CR0_AM, 0)
    movl $20, %ebp
2:  movl $TEST_ADDRESS(1) + 1, %edi
    movl $30, %ecx
    TRY(1f)
    call read_many
1:  CAUGHT(UD, NO_ERROR)
    TRY(1f)
    movl $30, %ecx
    pushq $USER_DATA
    pushq $USER_STACK
    pushq $0x43002 // AC
    pushq $USER_CODE64
    pushq $read_many
    iretq
1:  CAUGHT(AC, 0)
    EXPECT_EQ(30, %ecx)
    TRY(1f) // without the flag the loop comes to its end
    movl $30, %ecx
    AT_USER(read_many)
1:  CAUGHT(UD, NO_ERROR)
    EXPECT_EQ(0, %ecx)
    decl %ebp
    jnz 2b

    // The FPU's switches.
    movl $50, %ebp
2:  call floating
    SET_CR(0, CR0_TS, 0)
    TRY(1f)
    call floating
    FAIL
1:  CAUGHT(NM, NO_ERROR)
    TRY(1f)
    call vectors
    FAIL
1:  CAUGHT(NM, NO_ERROR)
    clts
    call vectors
    SET_CR(0, CR0_EM, 0)
    TRY(1f)
    call vectors
    FAIL
1:  CAUGHT(UD, NO_ERROR)
    SET_CR(0, 0, CR0_EM)
    SET_CR(4, 0, 0x200) // OSFXSR
    TRY(1f)
    call vectors
    FAIL
1:  CAUGHT(UD, NO_ERROR)
    SET_CR(4, 0x200, 0)
    call vectors
    decl %ebp
    jnz 2b

    // AVX, by OSXSAVE and XCR0.
    SET_CR(4, CR4_OSXSAVE, 0)
    movl $50, %ebp
2:  xorl %ecx, %ecx
    xorl %edx, %edx
    movl $7, %eax
    xsetbv
    call wide
    movl $3, %eax
    xsetbv
    TRY(1f)
    call wide
    FAIL
1:  CAUGHT(UD, NO_ERROR)
    call vectors
    xorl %ecx, %ecx
    xorl %edx, %edx
    movl $7, %eax
    xsetbv
    SET_CR(4, 0, CR4_OSXSAVE)
    TRY(1f)
    call wide
    FAIL
1:  CAUGHT(UD, NO_ERROR)
    SET_CR(4, CR4_OSXSAVE, 0)
    call wide
    decl %ebp
    jnz 2b

    // RDTSC at CPL 3.
    movl $20, %ebp
2:  SET_CR(4, CR4_TSD, 0)
    TRY(1f)
    AT_USER(counter)
1:  CAUGHT(GP, 0)
    SET_CR(4, 0, CR4_TSD)
    TRY(1f)
    AT_USER(counter)
1:  CAUGHT(UD, NO_ERROR)
    decl %ebp
    jnz 2b

    // Accessed and dirty bits come back when they were cleared and the entry invalidated.
    movl $50, %ebp
2:  MAP(1, FRAME + P + RW)
    call load
    movl TEST_PT + 8, %eax
    andl $A + D, %eax
    cmpl $A, %eax
    CHECK(e)
    call store
    testl $D, TEST_PT + 8
    CHECK(nz)
    REPEAT(5, store)
    MAP(1, FRAME + P + RW)
    call store
    movl TEST_PT + 8, %eax
    andl $A + D, %eax
    cmpl $A + D, %eax
    CHECK(e)
    decl %ebp
    jnz 2b
    PASS

store:
    movl %ebp, X
    ret
load:
    movl X, %eax
    ret
privileged:
    movq %cr2, %rax
    ret
read_many:
    movl (%rdi), %eax
    decl %ecx
    jnz read_many
    ud2
floating:
    fld1
    fadd %st, %st
    fstp %st
    ret
vectors:
    addpd %xmm1, %xmm2
    movaps %xmm2, %xmm3
    ret
wide:
    vaddpd %ymm1, %ymm2, %ymm3
    ret
counter:
    rdtsc
    ud2
