// Segment limits: the last byte, one too many, expand-down, page granularity, wrap; read-only and
// execute-only segments; null selectors.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

main32:
    SET_SLOT(0, 0x100000, 0xfff, 0x92, 4)
    SET_SLOT(1, 0, 0, 0x96, 0xc)
    SET_SLOT(2, 0, 0xfffff, 0x90, 0xc)
    SET_SLOT(3, 0x9000, 0xff, 0x9a, 4)
    movl $SLOT0, %eax
    movw %ax, %fs // bytes 0 to FFFh at 1 MiB
    movb %fs:0xfff, %al
    TRY(1f)
    movb %fs:0x1000, %al
    FAIL
1:  CAUGHT(GP, 0)
    movl %fs:0xffc, %eax
    TRY(1f)
    movl %fs:0xffd, %eax
    FAIL
1:  CAUGHT(GP, 0)
    TRY(1f)
    movl %fs:0xffffffff, %eax // wraps: outside too
    FAIL
1:  CAUGHT(GP, 0)

    movl $SLOT1, %eax // expand-down: above FFFh
    movw %ax, %fs
    movb %fs:0x1000, %al
    movb %fs:0xfffffff0, %al
    TRY(1f)
    movb %fs:0xfff, %al
    FAIL
1:  CAUGHT(GP, 0)

    movl $SLOT2, %eax // read-only
    movw %ax, %fs
    movb %fs:0, %al
    TRY(1f)
    movb %al, %fs:0
    FAIL
1:  CAUGHT(GP, 0)

    TRY(1f) // code is never writable
    movb %al, %cs:scratch
    FAIL
1:  CAUGHT(GP, 0)

    xorl %eax, %eax
    movw %ax, %fs
    TRY(1f)
    movb %fs:0, %al
    FAIL
1:  CAUGHT(GP, 0)

    // The stack's faults are #SS.
    SET_SLOT(4, 0x100000, 0xfff, 0xf2, 4)
    TRY(1f)
    ENTER_USER(user)
user:
    movl $SLOT0 + 0x20 + 3, %eax
    movw %ax, %ss
    movl $0xffc, %esp
    popl %eax
    pushl %eax
    movl $0xffd, %esp
    popl %eax
1:  CAUGHT(SS, 0)
    EXPECT_EQ(0xffd, caught_sp)

    // Execution beyond the limit: #GP of the instruction there.
    movb $0x90, 0x90ff
    TRY(1f)
    ljmpl $SLOT3, $0xff
1:  CAUGHT(GP, 0)
    EXPECT_EQ(0x100, caught_ip)
    EXPECT_EQ(SLOT3, caught_cs)
    TRY(1f)
    ljmpl $SLOT3, $0x100 // the target itself: #GP of the jump
1:  CAUGHT(GP, 0)
    EXPECT_EQ(CODE32, caught_cs)
    PASS

    .data
scratch: .long 0
