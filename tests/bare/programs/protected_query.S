// LAR LSL VERR VERW ARPL.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

main32:
    SET_SLOT(0, 0x1000, 0x12345, 0xf2, 0x4)
    SET_SLOT(1, 0, 0x67, 0x89, 0)
    SET_GATE(2, CODE32, main32, 0xec, 0)
    SET_GATE(3, CODE32, main32, 0x8e, 0) // an interrupt gate: not for LAR

    movl $SLOT0, %ecx
    larl %ecx, %eax
    CHECK(z)
    EXPECT_EQ(0x0041f200, %eax) // with the limit's high bits, as silicon has it
    lsll %ecx, %eax
    CHECK(z)
    EXPECT_EQ(0x12345, %eax)
    movl $0xdddddddd, %eax
    larw %cx, %ax
    EXPECT_EQ(0xddddf200, %eax)
    movl $CODE32, %ecx
    lsll %ecx, %eax
    EXPECT_EQ(0xffffffff, %eax)
    movl $SLOT1, %ecx
    lsll %ecx, %eax
    CHECK(z)
    EXPECT_EQ(0x67, %eax)
    movl $SLOT2, %ecx
    larl %ecx, %eax
    CHECK(z)
    movl $0x1234, %eax
    lsll %ecx, %eax // gates have no limit
    CHECK(nz)
    EXPECT_EQ(0x1234, %eax)
    movl $SLOT3, %ecx
    larl %ecx, %eax
    CHECK(nz)
    xorl %ecx, %ecx
    larl %ecx, %eax
    CHECK(nz)
    movl $0x500, %ecx
    larl %ecx, %eax
    CHECK(nz)
    movl $DATA32 | 3, %ecx // RPL above DPL
    larl %ecx, %eax
    CHECK(nz)

    movl $CODE32, %ecx
    verr %cx
    CHECK(z)
    verw %cx
    CHECK(nz)
    movl $DATA32, %ecx
    verw %cx
    CHECK(z)
    movl $SLOT1, %ecx
    verr %cx
    CHECK(nz)

    movl $0x08, %eax
    movl $0x03, %ecx
    arpl %cx, %ax
    CHECK(z)
    EXPECT_EQ(0x0b, %eax)
    arpl %cx, %ax
    CHECK(nz)
    PASS
