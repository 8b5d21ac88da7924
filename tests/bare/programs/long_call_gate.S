// 64-bit call gates and far transfers in long mode.
#include "long.h"
PROGRAM(EXPECT_EXIT)

main64:
    SET_GATE(0, CODE64, inner, 0xec, 0)
    movq $0, gdt_slots + 8
    SET_GATE(2, CODE32, inner, 0xec, 0) // a gate must lead to 64-bit code
    movq $0, gdt_slots + 24
    TRY(1f)
    ENTER_USER64(user)
user:
    movq %rsp, %rbx
    lcall *gate_pointer
user_back:
    cmpq %rsp, %rbx
    CHECK(e)
    movl %cs, %eax
    EXPECT_EQ(USER_CODE64, %eax)
    movl %ss, %eax
    EXPECT_EQ(USER_DATA, %eax)
    int $0x20
1:  CAUGHT(0x20, NO_ERROR)

    TRY(1f)
    lcall *bad_gate_pointer
    FAIL
1:  CAUGHT(GP, CODE32)
    TRY(1f)
    lcall *tss_pointer // no task switches
    FAIL
1:  CAUGHT(GP, TSS_SELECTOR)

    // A far call to compatibility mode at the same level, and back with LRET from there.
    movq %rsp, %rbx
    lcall *compat_pointer
compat_back:
    movl %cs, %eax
    EXPECT_EQ(CODE64, %eax)
    cmpq %rsp, %rbx
    CHECK(e)
    EXPECT_EQ(0x1234, %esi)

    // LRETQ.
    pushq $CODE64
    pushq $1f
    lretq
    FAIL
1:  cmpq %rsp, %rbx
    CHECK(e)
    PASS

inner:
    movl %cs, %eax
    EXPECT_EQ(CODE64, %eax)
    movl %ss, %eax // null with the new CPL
    EXPECT_EQ(0, %eax)
    cmpq $INNER_STACK - 32, %rsp
    CHECK(e)
    cmpq $user_back, (%rsp)
    CHECK(e)
    cmpq $USER_CODE64, 8(%rsp)
    CHECK(e)
    cmpq $USER_STACK, 16(%rsp)
    CHECK(e)
    cmpq $USER_DATA, 24(%rsp)
    CHECK(e)
    lretq

    .code32
compat:
    movl $0x1234, %esi
    lretl
    .code64

    .data
gate_pointer:
    .long 0
    .word SLOT0 | 3
bad_gate_pointer:
    .long 0
    .word SLOT2
tss_pointer:
    .long 0
    .word TSS_SELECTOR
compat_pointer:
    .long compat
    .word CODE32
