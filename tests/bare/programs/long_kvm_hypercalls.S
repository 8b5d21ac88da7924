// VMCALL and VMMCALL: refused without a hypervisor, then as KVM's guests use them [hypercalls.rst].
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define POLL 1
#define KICK 5
#define SEND_IPI 10
#define YIELD 11
#define ENOSYS -1000
#define EPERM -1

/* Calls by one instruction; what else a call changes than RAX is a failure. */
#define CALL(instruction, number, a0, a1, a2, a3, answer) \
    movq $(a0), %rbx;                                     \
    movq $(a1), %rcx;                                     \
    movq $(a2), %rdx;                                     \
    movq $(a3), %rsi;                                     \
    movq $0x123456789, %rdi;                              \
    movq $(number), %rax;                                 \
    stc;                                                  \
    instruction;                                          \
    CHECK(c)                                              \
    cmpq $(answer), %rax;                                 \
    CHECK(e)                                              \
    cmpq $(a0), %rbx;                                     \
    CHECK(e)                                              \
    cmpq $(a1), %rcx;                                     \
    CHECK(e)                                              \
    cmpq $(a2), %rdx;                                     \
    CHECK(e)                                              \
    cmpq $(a3), %rsi;                                     \
    CHECK(e)
#define BOTH(number, a0, a1, a2, a3, answer)         \
    CALL(vmcall, number, a0, a1, a2, a3, answer)     \
    CALL(vmmcall, number, a0, a1, a2, a3, answer)

#define UNDEFINED(instruction) \
    TRY(1f);                   \
    2: instruction;            \
    FAIL;                      \
    1: CAUGHT(UD, NO_ERROR);   \
    cmpq $2b, caught_ip;       \
    CHECK(e)

main64:
    UNDEFINED(vmcall)
    UNDEFINED(vmmcall)
    UNDEFINED(vmlaunch)
    outb %al, $HYPERVISOR_PORT
    UNDEFINED(vmlaunch)
    UNDEFINED(vmrun)

    BOTH(POLL, 0, 0, 0, 0, 0)
    BOTH(KICK, 0, 1, 0, 0, 0)
    BOTH(YIELD, 0, 0, 0, 0, 0)
    BOTH(0, 0, 0, 0, 0, ENOSYS)
    BOTH(0x7fffffff, 0, 0, 0, 0, ENOSYS)
    BOTH(SEND_IPI, 2, 0, 0, 0x24, 0)  /* nobody has id 1 */

    /* Often enough to be translated, and each of them counts. */
    movl $1000, %r12d
    xorl %r13d, %r13d
3:  movl $0x99, %eax
    vmmcall
    addq %rax, %r13
    decl %r12d
    jnz 3b
    cmpq $(1000 * ENOSYS), %r13
    CHECK(e)

    /* An interrupt to itself comes as soon as it is let in, with the call complete. */
    TRY(4f)
    movl $SEND_IPI, %eax
    movl $1, %ebx
    xorl %ecx, %ecx
    xorl %edx, %edx
    movl $0x24, %esi
    cli
    vmcall
    cmpl $1, %eax
    CHECK(e)
    sti
    nop
    nop
    FAIL
4:  CAUGHT(0x24, NO_ERROR)

    /* Programs may not, and are told so. */
    TRY(5f)
    ENTER_USER64(user64)
user64:
    CALL(vmcall, YIELD, 0, 0, 0, 0, EPERM)
    CALL(vmmcall, POLL, 0, 0, 0, 0, EPERM)
    int $0x20
5:  CAUGHT(0x20, NO_ERROR)

    /* 32-bit code has 32-bit registers: the answer is cut off. */
    TRY(6f)
    ENTER_USER32(user32)
    .code32
user32:
    movl $YIELD, %eax
    vmcall
    int $0x21
    .code64
6:  CAUGHT(0x21, NO_ERROR)
    PASS
