// SYSCALL, SYSRET to 64- and 32-bit code, SYSENTER from both, SWAPGS, their refusals.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define WRITE_MSR(index, high, low) \
    movl $(index), %ecx;            \
    movl $(low), %eax;              \
    movl $(high), %edx;             \
    wrmsr

main64:
    WRITE_MSR(0xc0000081, 0x00180008, 0)
    WRITE_MSR(0xc0000082, 0, entry)
    WRITE_MSR(0xc0000084, 0, 0x700) // TF, IF, DF
    TRY(1f)
    ENTER_USER64(user)
user:
    pushq $0x3cd7 & ~0x300 // DF and arithmetic flags
    popfq
    movq %rsp, %rbx
    syscall
user_back:
    pushfq
    popq %rax
    cld
    EXPECT_EQ(0x3cd7 & ~0x300, %eax)
    cmpq %rsp, %rbx
    CHECK(e)
    movl %cs, %eax
    EXPECT_EQ(USER_CODE64, %eax)
    movl %ss, %eax
    EXPECT_EQ(USER_DATA, %eax)
    int $0x20
1:  CAUGHT(0x20, NO_ERROR)
    jmp compat_test

entry:
    movl %cs, %eax
    EXPECT_EQ(CODE64, %eax)
    movl %ss, %eax
    EXPECT_EQ(DATA64, %eax)
    cmpq $user_back, %rcx
    CHECK(e)
    pushfq
    popq %rax
    testl $0x700, %eax
    CHECK(z)
    movl $0x3cd7 & ~0x300, %r11d
    sysretq

// SYSRET to 32-bit code, which comes back by SYSENTER.
compat_test:
    WRITE_MSR(0x174, 0, CODE64)
    WRITE_MSR(0x175, 0, INNER_STACK)
    WRITE_MSR(0x176, 0, sysenter_entry)
    movl $compat, %ecx
    movl $0x3002, %r11d
    movl $USER_STACK, %esp
    sysretl
    .code32
compat:
    movl %cs, %eax
    EXPECT_EQ(USER_CODE32, %eax)
    xorl %eax, %eax
    decl %eax // one byte here, a REX prefix in 64-bit code
    nop
    EXPECT_EQ(0xffffffff, %eax)
    sysenter
    .code64
sysenter_entry:
    movl %cs, %eax
    EXPECT_EQ(CODE64, %eax)
    cmpq $INNER_STACK, %rsp
    CHECK(e)

    // SYSEXIT to 64-bit code: CS is SYSENTER_CS + 32.
    movl $sysexit_back, %edx
    movl $USER_STACK, %ecx
    sysexitq
sysexit_back:
    movl %cs, %eax
    EXPECT_EQ(CODE64 + 32 + 3, %eax)
    movl %ss, %eax
    EXPECT_EQ(CODE64 + 40 + 3, %eax)
    TRY(1f)
    sysretq // not at CPL 3
1:  CAUGHT(GP, 0)

    // SYSRET refuses a return address that is not canonical, still at CPL 0.
    TRY(1f)
    movabsq $0x0000800000000000, %rcx
    sysretq
    FAIL
1:  CAUGHT(GP, 0)
    EXPECT_EQ(CODE64, caught_cs)

    // Without EFER.SCE both are undefined.
    WRITE_MSR(MSR_EFER, 0, EFER_LME | EFER_NXE)
    TRY(1f)
    syscall
    FAIL
1:  CAUGHT(UD, NO_ERROR)
    TRY(1f)
    movl $user, %ecx
    sysretq
    FAIL
1:  CAUGHT(UD, NO_ERROR)

    // SWAPGS.
    WRITE_MSR(0xc0000101, 0xffff8000, 0x1000)
    WRITE_MSR(0xc0000102, 0, 0x2000)
    swapgs
    movl $0xc0000101, %ecx
    rdmsr
    EXPECT_EQ(0x2000, %eax)
    EXPECT_EQ(0, %edx)
    movl $0xc0000102, %ecx
    rdmsr
    EXPECT_EQ(0xffff8000, %edx)
    TRY(1f)
    ENTER_USER64(user_swapgs)
user_swapgs:
    swapgs
1:  CAUGHT(GP, 0)

    // FSGSBASE.
    TRY(1f)
    rdfsbase %rax
    FAIL
1:  CAUGHT(UD, NO_ERROR)
    movq %cr4, %rax
    orl $CR4_FSGSBASE, %eax
    movq %rax, %cr4
    movl $0x8000, %eax
    wrfsbase %rax
    EXPECT_EQ(0x48414e59, %fs:0)
    rdfsbase %rcx
    EXPECT_EQ(0x8000, %ecx)
    movabsq $0x0000800000000000, %rax
    TRY(1f)
    wrgsbase %rax
    FAIL
1:  CAUGHT(GP, 0)
    PASS
