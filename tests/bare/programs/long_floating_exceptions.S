// Unmasked floating-point exceptions: #XM with the flags that caused it, #MF at the next waiting
// instruction, and what masks them.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define XM 19
#define MF 16
#define CR0_NE 0x20
#define CR4_OSFXSR 0x200
#define CR4_OSXMMEXCPT 0x400

main64:
    movq %cr0, %rax
    orl $CR0_NE, %eax
    movq %rax, %cr0
    movq %cr4, %rax
    orl $CR4_OSFXSR | CR4_OSXMMEXCPT, %eax
    movq %rax, %cr4

    // Division by zero, masked: a flag.
    ldmxcsr all_masked
    movaps ones, %xmm0
    movaps zeroes, %xmm1
    divps %xmm1, %xmm0
    stmxcsr scratch
    EXPECT_EQ(0x1f84, scratch)
    // Unmasked: the destination stays, the flag is set.
    ldmxcsr divide_unmasked
    movaps ones, %xmm0
    TRY(1f)
    divps %xmm1, %xmm0
    FAIL
1:  CAUGHT(XM, NO_ERROR)
    movaps %xmm0, scratch
    EXPECT_EQ(0x3f800000, scratch)
    stmxcsr scratch
    EXPECT_EQ(0x1d84, scratch)
    // A flag that is set already raises nothing by itself.
    addps %xmm0, %xmm0
    // From memory, and by a scalar.
    ldmxcsr divide_unmasked
    movaps ones, %xmm0
    TRY(1f)
    divss zeroes, %xmm0
    FAIL
1:  CAUGHT(XM, NO_ERROR)
    // The system does not know #XM: #UD instead.
    movq %cr4, %rax
    andl $~CR4_OSXMMEXCPT, %eax
    movq %rax, %cr4
    TRY(1f)
    divps %xmm1, %xmm0
    FAIL
1:  CAUGHT(UD, NO_ERROR)
    ldmxcsr all_masked
    TRY(1f)
    ldmxcsr reserved_set
    FAIL
1:  CAUGHT(GP, 0)
    stmxcsr scratch
    EXPECT_EQ(0x1f80, scratch)

    // x87: the instruction completes, the next waiting one faults, for as long as it is pending.
    fninit
    fldcw divide_unmasked87
    fld1
    fldz
    fdivrp %st, %st(1)
    TRY(1f)
    fld1
    FAIL
1:  CAUGHT(MF, NO_ERROR)
    TRY(1f)
    wait
    FAIL
1:  CAUGHT(MF, NO_ERROR)
    TRY(1f)
    paddb %mm0, %mm0
    FAIL
1:  CAUGHT(MF, NO_ERROR)
    TRY(1f)
    fldcw all_masked87
    FAIL
1:  CAUGHT(MF, NO_ERROR)
    // Not by those that do not wait.
    fnstsw %ax
    andl $0x80ff, %eax
    EXPECT_EQ(0x8084, %eax)
    fnstcw scratch
    fxsave scratch
    fnclex
    wait
    fnstsw %ax
    andl $0x80ff, %eax
    EXPECT_EQ(0, %eax)
    // Unmasking what is flagged makes it pending.
    fninit
    fld1
    fldz
    fdivrp %st, %st(1)
    fldcw divide_unmasked87
    TRY(1f)
    wait
    FAIL
1:  CAUGHT(MF, NO_ERROR)
    // A store of what raised an exception leaves memory as it was, even if it could not be written.
    fninit
    fldcw invalid_unmasked87
    movl $0x12345678, scratch
    fistpl scratch // the stack is empty
    EXPECT_EQ(0x12345678, scratch)
    fnclex
    fistpl TEST_PAGE
    fninit
    TRY(1f)
    fistpl TEST_PAGE
    FAIL
1:  CAUGHT(PF, PF_W)
    fnstsw %ax
    andl $0xffff, %eax
    EXPECT_EQ(0, %eax)
    PASS

    .data
    .balign 16
ones: .long 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000
zeroes: .long 0, 0, 0, 0
all_masked: .long 0x1f80
divide_unmasked: .long 0x1d80
reserved_set: .long 0x11f80
all_masked87: .word 0x37f
divide_unmasked87: .word 0x37b
invalid_unmasked87: .word 0x37e
    .balign 16
scratch: .fill 512, 1, 0
