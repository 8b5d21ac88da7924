// When x87, MMX, SSE and AVX instructions are #UD or #NM: CR0.EM, MP, TS, CR4.OSFXSR, OSXSAVE, XCR0.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define CR0_MP 2
#define CR0_EM 4
#define CR0_TS 8
#define CR4_OSFXSR 0x200
#define CR4_OSXSAVE 0x40000

#define RAISES(vector, ...)  \
    TRY(1f);                 \
    __VA_ARGS__;             \
    FAIL;                    \
    1: CAUGHT(vector, NO_ERROR)
#define RUNS(...) __VA_ARGS__
#define SET_CR0(set, clear)          \
    movq %cr0, %rax;                 \
    andl $~(clear), %eax;            \
    orl $(set), %eax;                \
    movq %rax, %cr0
#define SET_CR4(set, clear)          \
    movq %cr4, %rax;                 \
    andl $~(clear), %eax;            \
    orl $(set), %eax;                \
    movq %rax, %cr4
#define ALL_CR0 (CR0_MP | CR0_EM | CR0_TS)

main64:
    movl $1, %eax
    cpuid
    movl %ecx, features
    // Nothing but x87 and MMX before the system says that it saves more.
    SET_CR0(0, ALL_CR0)
    SET_CR4(0, CR4_OSFXSR | CR4_OSXSAVE)
    fninit
    RUNS(fld1)
    RUNS(emms)
    RUNS(paddb %mm0, %mm1)
    RUNS(emms)
    RAISES(UD, addps %xmm0, %xmm1)
    RAISES(UD, movaps %xmm0, %xmm1)
    RAISES(UD, movups scratch, %xmm1)
    RAISES(UD, movd %eax, %xmm1)
    RAISES(UD, cvtpi2ps %mm0, %xmm1)
    RAISES(UD, ldmxcsr mxcsr)
    RAISES(UD, maskmovdqu %xmm0, %xmm1)
    RAISES(UD, xgetbv)
    fxsave scratch
    fxrstor scratch

    SET_CR4(CR4_OSFXSR, 0)
    RUNS(addps %xmm0, %xmm1)
    RUNS(ldmxcsr mxcsr)
    // TS: #NM, but #UD comes first.
    SET_CR0(CR0_TS, 0)
    RAISES(NM, addps %xmm0, %xmm1)
    RAISES(NM, movaps %xmm0, %xmm1)
    RAISES(NM, stmxcsr scratch)
    RAISES(NM, paddb %mm0, %mm1)
    RAISES(NM, emms)
    RAISES(NM, fld1)
    RAISES(NM, fninit)
    RAISES(NM, fnstsw %ax)
    RAISES(NM, fxsave scratch)
    RUNS(wait)
    SET_CR0(CR0_MP, 0)
    RAISES(NM, wait)
    SET_CR4(0, CR4_OSFXSR)
    RAISES(UD, addps %xmm0, %xmm1)
    SET_CR4(CR4_OSFXSR, 0)
    // EM: x87 is #NM, MMX and SSE are #UD, and FWAIT does not care.
    SET_CR0(CR0_EM, CR0_TS | CR0_MP)
    RAISES(NM, fld1)
    RAISES(NM, fxsave scratch)
    RAISES(UD, paddb %mm0, %mm1)
    RAISES(UD, emms)
    RAISES(UD, addps %xmm0, %xmm1)
    RUNS(wait)
    SET_CR0(CR0_MP, CR0_EM)

    testl $1 << 28, features // AVX
    jz done
    RAISES(UD, vaddps %ymm0, %ymm1, %ymm2)
    RAISES(UD, vmovups scratch, %xmm1)
    RAISES(UD, vzeroupper)
    SET_CR4(CR4_OSXSAVE, 0)
    // XCR0 has only x87 yet.
    xorl %ecx, %ecx
    xgetbv
    EXPECT_EQ(1, %eax)
    RAISES(UD, vaddps %ymm0, %ymm1, %ymm2)
    movl $3, %eax
    xorl %edx, %edx
    xsetbv
    RAISES(UD, vaddps %ymm0, %ymm1, %ymm2)
    movl $7, %eax
    xsetbv
    RUNS(vaddps %ymm0, %ymm1, %ymm2)
    RUNS(vzeroupper)
    SET_CR0(CR0_TS, 0)
    RAISES(NM, vaddps %ymm0, %ymm1, %ymm2)
    RAISES(NM, vmovups scratch, %ymm1)
    RAISES(NM, xsave scratch)
    // EM says nothing about VEX instructions.
    SET_CR0(CR0_EM, CR0_TS)
    RUNS(vaddps %ymm0, %ymm1, %ymm2)
    SET_CR0(0, ALL_CR0)
done:
    PASS

    .data
    .balign 64
scratch: .fill 1024, 1, 0
mxcsr: .long 0x1f80
features: .long 0
