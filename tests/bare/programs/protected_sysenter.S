// SYSENTER and SYSEXIT in 32-bit mode.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

main32:
    TRY(1f)
    sysenter // no code segment set
    FAIL
1:  CAUGHT(GP, 0)

    xorl %edx, %edx
    movl $0x174, %ecx
    movl $SLOT0 | 3, %eax // RPL is dropped
    wrmsr
    movl $0x175, %ecx
    movl $INNER_STACK, %eax
    wrmsr
    movl $0x176, %ecx
    movl $entered, %eax
    wrmsr
    TRY(1f)
    ENTER_USER(user)
user:
    sysenter
entered:
    movl %cs, %eax
    EXPECT_EQ(SLOT0, %eax)
    movl %ss, %eax
    EXPECT_EQ(SLOT0 + 8, %eax)
    cmpl $INNER_STACK, %esp
    CHECK(e)
    pushfl
    popl %eax
    testl $0x200, %eax
    CHECK(z)
    movl $USER_STACK - 16, %ecx
    movl $user_back, %edx
    sysexit
user_back:
    movl %cs, %eax
    EXPECT_EQ(SLOT0 + 16 + 3, %eax)
    movl %ss, %eax
    EXPECT_EQ(SLOT0 + 24 + 3, %eax)
    cmpl $USER_STACK - 16, %esp
    CHECK(e)
    sysexit // not at CPL 3
1:  CAUGHT(GP, 0)
    PASS
