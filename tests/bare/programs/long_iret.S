// IRETQ: always pops SS:RSP, null SS below CPL 3, to compatibility mode and back, refusals.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define IRET_FAULTS(ss, flags, cs, rip, vector, error) \
    TRY(1f);                                           \
    pushq $(ss);                                       \
    pushq $USER_STACK;                                 \
    pushq $(flags);                                    \
    pushq $(cs);                                       \
    movabsq $rip, %rax;                                \
    pushq %rax;                                        \
    iretq;                                             \
    FAIL;                                              \
    1: CAUGHT(vector, error)

main64:
    // Same level, with another stack and a null SS.
    movq %rsp, %rbx
    pushq $0
    pushq $0x60000
    pushq $2
    pushq $CODE64
    pushq $1f
    iretq
    FAIL
1:  cmpq $0x60000, %rsp
    CHECK(e)
    movl %ss, %eax
    EXPECT_EQ(0, %eax)
    pushq %rax // a null SS can be used
    movl $DATA64, %eax
    movw %ax, %ss
    movq %rbx, %rsp

    IRET_FAULTS(0, 2, USER_CODE64, user, GP, 0) // null at CPL 3
    IRET_FAULTS(USER_DATA, 2, USER_CODE64, 0x0000800000000000, GP, 0)
    IRET_FAULTS(USER_DATA, 2, DATA64, user, GP, DATA64)
    IRET_FAULTS(DATA64, 2, USER_CODE64, user, GP, DATA64)
    SET_SLOT(0, 0, 0xfffff, 0xfa, 0xe) // L and D at once
    IRET_FAULTS(USER_DATA, 2, SLOT0 | 3, user, GP, SLOT0)
    IRET_FAULTS(USER_DATA, 0x4002, 0, user, GP, 0) // NT in the image is only loaded
    // NT set: no task switches here.
    TRY(1f)
    pushq $0x4002
    popfq
    iretq
    FAIL
1:  CAUGHT(GP, 0)

    // 32-bit code at CPL 3; its fault comes back in 64-bit mode, RSP cut to 32 bits.
    TRY(1f)
    ENTER_USER32(compat)
    .code32
compat:
    movl $0x66000, %esp
    pushl $0x12345678
    xorl %eax, %eax
    decl %eax
    ud2
    .code64
1:  CAUGHT(UD, NO_ERROR)
    EXPECT_EQ(USER_CODE32, caught_cs)
    cmpq $0x65ffc, caught_sp
    CHECK(e)

    // Segment bases: FS and GS of a null selector load are 0 (Intel).
    movl $0xc0000100, %ecx
    movl $0x1234, %eax
    xorl %edx, %edx
    wrmsr
    xorl %eax, %eax
    movw %ax, %fs
    rdmsr
    EXPECT_EQ(0, %eax)
    PASS
user:
    ud2
