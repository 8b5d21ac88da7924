// Call gates: to a more privileged level with parameters, far RET back, their checks; same level;
// conforming code.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

main32:
    SET_GATE(0, CODE32, inner, 0xec, 2)      // 32 bits, DPL 3, 2 parameters
    SET_GATE(1, CODE32, inner, 0x8c, 0)      // DPL 0
    SET_GATE(2, CODE32, inner, 0x6c, 0)      // not present
    SET_GATE(3, DATA32, inner, 0xec, 0)      // leads to data
    TRY(1f)
    ENTER_USER(user)
user:
    movl $USER_DATA32, %eax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movl $0x5a5a, %ebx
    pushl $0x11111111
    pushl $0x22222222
    lcall $SLOT0 | 3, $0x99999 // the offset is ignored
user_back:
    // The parameters are gone from this stack as well.
    cmpl $USER_STACK, %esp
    CHECK(e)
    EXPECT_EQ(0xa5a5, %ebx)
    movw %cs, %ax
    cmpw $USER_CODE32, %ax
    CHECK(e)
    // FS held a DPL 0 segment at the return: it is null now.
    movw %fs, %ax
    cmpw $0, %ax
    CHECK(e)
    movw %es, %ax
    cmpw $USER_DATA32, %ax
    CHECK(e)
    int $0x20
1:  CAUGHT(0x20, NO_ERROR)

    TRY(1f)
    ENTER_USER(user2)
user2:
    lcall $SLOT1, $0
1:  CAUGHT(GP, SLOT1)
    TRY(1f)
    ENTER_USER(user3)
user3:
    lcall $SLOT2, $0
1:  CAUGHT(NP, SLOT2)
    TRY(1f)
    ENTER_USER(user4)
user4:
    lcall $SLOT3, $0
1:  CAUGHT(GP, DATA32)
    // JMP may not change the level.
    TRY(1f)
    ENTER_USER(user5)
user5:
    ljmp $SLOT0, $0
1:  CAUGHT(GP, CODE32)

    PASS

inner:
    movl %ss, %eax
    EXPECT_EQ(DATA32, %eax)
    EXPECT_EQ(INNER_STACK - 24, %esp)
    EXPECT_EQ(user_back, (%esp))
    EXPECT_EQ(USER_CODE32, 4(%esp))
    EXPECT_EQ(0x22222222, 8(%esp))
    EXPECT_EQ(0x11111111, 12(%esp))
    EXPECT_EQ(USER_STACK - 8, 16(%esp))
    EXPECT_EQ(USER_DATA32, 20(%esp))
    movl $DATA32, %eax
    movw %ax, %fs
    movl $0xa5a5, %ebx
    lret $8
