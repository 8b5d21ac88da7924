// A page fault that cannot be delivered becomes a double fault on its interrupt stack; so do two
// contributory ones; a benign one first does not.
#include "long.h"
PROGRAM(EXPECT_EXIT)

main64:
    movb $1, idt + DF * 16 + 4 // IST 1
    // #PF with a stack that is absent.
    movq $doubled, hook
    movl $TEST_ADDRESS(1), %esp
    xorl %ebx, %ebx
    movl TEST_ADDRESS(2), %eax
    FAIL
doubled:
    cmpq $IST1_STACK - 40, %rsp // the error code is popped
    CHECK(e)
    EXPECT_EQ(DF, caught_vector)
    EXPECT_EQ(0, caught_error)
    EXPECT_EQ(TEST_ADDRESS(1), caught_sp)
    // CR2 is the later fault's: the stack.
    cmpl $TEST_ADDRESS(1), caught_cr2
    CHECK(b)
    movq $STACK0, %rsp

    // #GP whose gate is absent: #NP during #GP, double fault.
    movq $0, hook
    movw $0x0e00, idt + GP * 16 + 4
    TRY(1f)
    movabsq $0x0000800000000000, %rbx
    movl (%rbx), %eax
    FAIL
1:  CAUGHT(DF, 0)

    // #UD whose gate is absent: benign first, so the #NP is delivered.
    movw $0x0e00, idt + UD * 16 + 4
    TRY(1f)
    ud2
1:  CAUGHT(NP, UD * 8 + 2 + 1)

    // #PF whose gate is absent: #NP is contributory, double fault.
    movw $0x0e00, idt + PF * 16 + 4
    TRY(1f)
    movl TEST_ADDRESS(2), %eax
    FAIL
1:  CAUGHT(DF, 0)
    PASS
