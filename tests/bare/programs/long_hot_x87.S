// x87 and MMX in loops: what they hold and point to when a page is missing, when the control word
// unmasks an exception at last, when the state is saved and loaded in the loop, and when interrupts
// come whose handlers use the same registers.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define MF 16
#define CR0_TS 8
#define CR0_NE 0x20
#define CR4_OSFXSR 0x200
#define ENVIRONMENT_FIP 12
#define FXSAVE_FSW 2
#define FXSAVE_TAGS 4

main64:
    movq %cr0, %rax
    orl $CR0_NE, %eax
    movq %rax, %cr0
    movq %cr4, %rax
    orl $CR4_OSFXSR, %eax
    movq %rax, %cr4
    MAP(0, FRAME + P + RW)
    movl $TEST_PAGE, %edi
    movl $512, %ecx
    movabsq $0x3ff0000000000000, %rax // 1.0
    rep stosq

    // A sum of numbers up to a page that is missing.
    fninit
    fldpi
    fldz
    movl $TEST_PAGE, %esi
    TRY(sum_faulted)
sum:
    fxch
sum_last:
    fxch
sum_load:
    faddl (%rsi)
    addq $8, %rsi
    jmp sum
sum_faulted:
    CAUGHT(PF, 0)
    EXPECT_EQ(sum_load, caught_ip)
    EXPECT_EQ(TEST_PAGE + 0x1000, caught_cr2)
    fnstenv scratch
    EXPECT_EQ(sum_last, scratch + ENVIRONMENT_FIP)
    fldenv scratch
    fistpl scratch
    EXPECT_EQ(512, scratch)
    fldpi
    fcomip %st(1), %st
    CHECK(e)
    fstp %st
    fxam
    fnstsw %ax
    andl $0x7d00, %eax
    EXPECT_EQ(0x4100, %eax) // empty, TOP = 0

    // A store that is all of its loop: it points to that of the round before.
    fninit
    fld1
    movl $TEST_PAGE, %esi
    TRY(store_faulted)
store:
    fsts (%rsi)
    addq $4, %rsi
    jmp store
store_faulted:
    CAUGHT(PF, PF_W)
    EXPECT_EQ(store, caught_ip)
    EXPECT_EQ(0x3f800000, TEST_PAGE + 0xffc)
    fnstenv scratch
    EXPECT_EQ(store, scratch + ENVIRONMENT_FIP)

    // MMX: TOP is 0 and all registers are valid, whatever was before.
    fninit
    fld1
    movl $5, %eax
    movd %eax, %mm1
    pxor %mm0, %mm0
    movl $TEST_PAGE, %esi
    TRY(mmx_faulted)
1:  movq (%rsi), %mm2
    paddd %mm1, %mm0
    addq $8, %rsi
    jmp 1b
mmx_faulted:
    CAUGHT(PF, 0)
    movd %mm0, %eax
    EXPECT_EQ(5 * 512, %eax)
    movq %mm2, %rax
    EXPECT_EQ(0x3f800000, %eax) // what was stored before
    fxsave scratch
    movzwl scratch + FXSAVE_FSW, %eax
    EXPECT_EQ(0, %eax)
    movzbl scratch + FXSAVE_TAGS, %eax
    EXPECT_EQ(0xff, %eax)
    emms
    fxsave scratch
    movzbl scratch + FXSAVE_TAGS, %eax
    EXPECT_EQ(0, %eax)

    // Words that mask all, of different rounding; the last one unmasks division by zero.
    fninit
    movl $1000, %ecx
    movl $masked_up, %edx
    xorl %ebx, %ebx
    TRY(unmasked)
divide:
    fldcw masked_down
    flds half
    fistl scratch
    addl scratch, %ebx // 0
    fldcw (%rdx)
    fistpl scratch
    addl scratch, %ebx // 1
    fld1
    fldz
    fdivrp %st, %st(1)
    fnstcw scratch
divide_wait:
    wait
    fstp %st
    fnclex
    movl $unmasked_up, %eax
    subl $1, %ecx
    cmpl $1, %ecx
    cmovel %eax, %edx
    jmp divide
unmasked:
    CAUGHT(MF, NO_ERROR)
    EXPECT_EQ(divide_wait, caught_ip)
    EXPECT_EQ(1, %ecx)
    EXPECT_EQ(1000, %ebx)
    movzwl scratch, %eax
    EXPECT_EQ(0xb7b, %eax)
    fnclex

    // Saved, changed and loaded in the loop.
    fninit
    fldpi
    fldz
    movl $200, %ecx
1:  fld1
    faddp
    fnsave scratch
    fld1
    frstor scratch
    fxsave scratch
    fninit
    movd %ecx, %mm3
    fxrstor scratch
    decl %ecx
    jnz 1b
    fistpl scratch
    EXPECT_EQ(200, scratch)
    fldpi
    fcomip %st(1), %st
    CHECK(e)

    // The task-switched flag goes up in the loop.
    fninit
    fldz
    movl $100, %ecx
    movq %cr0, %rbx
    TRY(switched)
1:  fld1
    faddp
    cmpl $1, %ecx
    jne 2f
    orl $CR0_TS, %ebx
2:  movq %rbx, %cr0
    subl $1, %ecx
    jmp 1b
switched:
    CAUGHT(NM, NO_ERROR)
    clts
    fistpl scratch
    EXPECT_EQ(100, scratch)

    // Interrupts whose handlers use the registers for their own purposes.
    movl $10, %ebx
again:
    fninit
    fldpi
    fldz
    movq $handler, hook
    movq $0, caught_count
    movw $ALARM_PORT, %dx
    movb $0x22, %al
    outb %al, %dx
    sti
    movl $20000, %ecx
1:  fld1
    fadd %st, %st(1)
    fstp %st
    decl %ecx
    jnz 1b
    cli
    movq $0, hook
    fistpl scratch
    EXPECT_EQ(20000, scratch)
    fldpi
    fcompp
    fnstsw %ax
    sahf
    CHECK(e)
    decl %ebx
    jnz again
    PASS

handler:
    fxsave handler_area
    fninit
    fldln2
    movd %esp, %mm7
    fxrstor handler_area
    iretq

    .data
    .balign 16
half: .long 0x3f000000
masked_down: .word 0x77f
masked_up: .word 0xb7f
unmasked_up: .word 0xb7b
    .balign 16
scratch: .fill 512, 1, 0
handler_area: .fill 512, 1, 0
