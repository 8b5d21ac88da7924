// A stack whose page changes under hot code: other memory, read-only, absent, the supervisor's, not
// dirty, a device, full of code; and the page below it.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define PAGE TEST_ADDRESS(4) /* and page 3 below it */
#define ONE FRAME
#define TWO (FRAME + 0x1000)
#define BELOW (FRAME + 0x2000)
#define ENTRY(n) (TEST_PT + 8 * (n))

/* Runs `what` on the stack at `at`, then comes back to the usual one. */
#define ON_STACK(at, what)  \
    movl $at, %ecx;         \
    xchgq %rcx, %rsp;       \
    call what;              \
    movq %rcx, %rsp

main64:
    movb $1, idt + 16 * PF + 4 // by IST, as the stack may be what faults
    MAP(3, BELOW + P + RW)
    movl $200, %ebp
again:
    // Other memory, by INVLPG and by CR3.
    MAP(4, ONE + P + RW)
    movq $0x11, ONE + 0x7f8
    movq $0x22, TWO + 0x7f8
    ON_STACK(PAGE + 0x7f8, top)
    EXPECT_EQ(0x11, %eax)
    movl $TWO + P + RW, ENTRY(4)
    invlpg PAGE
    ON_STACK(PAGE + 0x7f8, top)
    EXPECT_EQ(0x22, %eax)
    movl $ONE + P + RW, ENTRY(4)
    movq %cr3, %rax
    movq %rax, %cr3
    ON_STACK(PAGE + 0x7f8, top)
    EXPECT_EQ(0x11, %eax)
    // The same while the stack is in use, with nothing in between.
    movq $0x33, ONE + 0x800
    movq $0x44, TWO + 0x800
    movq %rsp, %rsi
    movl $PAGE + 0x800, %esp
    popq %rax
    movl $TWO + P + RW, ENTRY(4)
    invlpg PAGE
    movq -8(%rsp), %rbx
    pushq $0x55
    movq %rsi, %rsp
    EXPECT_EQ(0x33, %eax)
    EXPECT_EQ(0x44, %ebx)
    EXPECT_EQ(0x55, TWO + 0x800)
    EXPECT_EQ(0x33, ONE + 0x800)

    // Read-only: popping is allowed, pushing is not, though the page was just used.
    MAP(4, ONE + P)
    movq %rsp, %rsi
    movl $PAGE + 0x100, %esp
    popq %rax
    popq %rax
    TRY(1f)
    movq %rsi, saved_sp
    pushq %rax
    FAIL
1:  CAUGHT(PF, PF_P | PF_W)
    EXPECT_EQ(PAGE + 0x108, caught_cr2)
    EXPECT_EQ(PAGE + 0x110, caught_sp)
    // Dirty only by the first push.
    MAP(4, ONE + P + RW)
    movq %rsp, %rsi
    movl $PAGE + 0x100, %esp
    popq %rax
    testl $D, ENTRY(4)
    CHECK(z)
    pushq %rax
    testl $D, ENTRY(4)
    CHECK(nz)
    movq %rsi, %rsp
    // Absent, at an instruction in the middle of a run of pushes; RSP as before it.
    movq %rsp, %rsi
    MAP(3, 0)
    movl $PAGE + 0x18, %esp
    TRY(1f)
    movq %rsi, saved_sp
    pushq %rax
    pushq %rax
    pushq %rax
push_below:
    pushq %rax
    FAIL
1:  CAUGHT(PF, PF_W)
    EXPECT_EQ(PAGE - 8, caught_cr2)
    EXPECT_EQ(PAGE, caught_sp)
    EXPECT_EQ(push_below, caught_ip)
    // Across the two, which is refused as a whole.
    movq %rsp, %rsi
    movq $-1, ONE
    movl $PAGE + 4, %esp
    TRY(1f)
    movq %rsi, saved_sp
    pushq %rax
    FAIL
1:  CAUGHT(PF, PF_W)
    EXPECT_EQ(PAGE + 4, caught_sp)
    EXPECT_EQ(-1, ONE)
    // A call that cannot push does not go anywhere.
    movq %rsp, %rsi
    movl $PAGE, %esp
    TRY(1f)
    movq %rsi, saved_sp
calling:
    call top
    FAIL
1:  CAUGHT(PF, PF_W)
    EXPECT_EQ(calling, caught_ip)
    EXPECT_EQ(PAGE, caught_sp)
    MAP(3, BELOW + P + RW)
    movq %rsp, %rsi
    movl $PAGE + 4, %esp
    movabsq $0x1122334455667788, %rax
    pushq %rax
    popq %rcx
    cmpq %rcx, %rax
    movq %rsi, %rsp
    CHECK(e)
    EXPECT_EQ(0x55667788, BELOW + 0xffc)
    EXPECT_EQ(0x11223344, ONE)

    // Code is written by pushing it, run, and pushed over.
    movq %rsp, %rsi
    movl $PAGE + 0x900, %esp
    movabsq $0xc3000000b8, %rax // mov $0, %eax; ret
    pushq %rax
    movl $PAGE + 0x8f8, %ebx
    movq %rsi, %rsp
    movw $0xc300, 4(%rbx)
    movb $0xc3, 5(%rbx)
    movl %ebp, 1(%rbx)
    movb $0xc3, 5(%rbx)
    call *%rbx
    cmpl %ebp, %eax
    CHECK(e)
    movl $PAGE + 0x900, %esp
    movabsq $0xc30badcafeb8, %rax
    pushq %rax
    movq %rsi, %rsp
    call *%rbx
    EXPECT_EQ(0x0badcafe, %eax)
    decl %ebp
    jnz again

    // The supervisor's stack seen from CPL 3.
    movl $50, %ebp
2:  MAP(4, ONE + P + RW)
    ON_STACK(PAGE + 0x700, top)
    TRY(1f)
    pushq $USER_DATA
    pushq $PAGE + 0x700
    pushq $0x3002
    pushq $USER_CODE64
    pushq $top
    iretq
1:  CAUGHT(PF, PF_P | PF_U)
    EXPECT_EQ(PAGE + 0x700, caught_sp)
    decl %ebp
    jnz 2b
    PASS

// What is on the stack behind the return address, which is written again on the way.
top:
    movq 8(%rsp), %rax
    pushq %rax
    popq %rax
    ret
