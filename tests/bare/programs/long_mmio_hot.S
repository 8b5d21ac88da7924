// Instructions that find memory in one round and a device in the next; and code in a device.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define DEVICE TEST_ADDRESS(2) /* linear; behind a page of memory */
#define MEMORY TEST_ADDRESS(1)
#define DEVICE_CODE TEST_ADDRESS(8)

#define MAP_DEVICE(n, value)            \
    movl $(value) + P + RW, TEST_PT + 8 * (n); \
    movl $0, TEST_PT + 8 * (n) + 4;     \
    invlpg TEST_ADDRESS(n)

main64:
    MAP(1, FRAME + P + RW)
    MAP_DEVICE(2, MMIO_CELLS)
    MAP_DEVICE(8, MMIO_CODE)
    movl $200, %ebx
2:  movl $MEMORY + 0x100, %edi
    call both
    movl $DEVICE + 0x10, %edi
    call both
    decl %ebx
    jnz 2b

    // Read, modify, write; in one instruction.
    movl $100, %ebx
2:  movl $0, DEVICE
    addl $5, DEVICE
    lock incl DEVICE
    lock xaddl %ebx, DEVICE
    EXPECT_EQ(6, %ebx)
    movl DEVICE, %ebx
    subl $6, %ebx
    decl %ebx
    jg 2b

    // String instructions run from memory into the device and back.
    movl $40, %ebp
2:  movl $MEMORY + 0xff8, %edi // eight bytes of memory, eight of the device
    movl $0x5a, %eax
    movl $16, %ecx
    rep stosb
    cmpq $0, DEVICE
    CHECK(ne)
    movl $0x5a5a5a5a, %eax
    cmpl %eax, DEVICE
    CHECK(e)
    cmpl %eax, DEVICE + 4
    CHECK(e)
    cmpl %eax, MEMORY + 0xffc
    CHECK(e)
    movl $MEMORY + 0xffc, %esi
    movl $MEMORY + 0x200, %edi
    movl $4, %ecx
    rep movsw
    cmpl %eax, MEMORY + 0x204
    CHECK(e)
    // An operand half in each.
    movq $0x12345678, MEMORY + 0xffc
    cmpl $0x12345678, MEMORY + 0xffc
    CHECK(e)
    movabsq $0x1122334455667788, %rax
    movq %rax, MEMORY + 0xffb
    cmpq %rax, MEMORY + 0xffb
    CHECK(e)
    // Stack in the device.
    movq %rsp, %rdx
    movl $DEVICE + 0x40, %esp
    pushq %rax
    popq %rcx
    movq %rdx, %rsp
    cmpq %rcx, %rax
    CHECK(e)
    // Vectors.
    movq %cr4, %rsi
    orl $0x600, %esi
    movq %rsi, %cr4
    movq %rax, %xmm0
    movups %xmm0, DEVICE + 0x20
    movups DEVICE + 0x20, %xmm1
    movq %xmm1, %rcx
    cmpq %rcx, %rax
    CHECK(e)
    decl %ebp
    jnz 2b

    // Code in the device, called from hot code.
    movl $100, %ebp
2:  xorl %eax, %eax
    call DEVICE_CODE
    EXPECT_EQ(0x12345678, %eax)
    decl %ebp
    jnz 2b
    // Memory becomes a device under a hot store, and memory again.
    movl $50, %ebp
2:  MAP(1, FRAME + P + RW)
    movl $MEMORY + 0x30, %edi
    movl $7, FRAME + 0x30
    call write
    cmpl %ebp, FRAME + 0x30
    CHECK(e)
    MAP_DEVICE(1, MMIO_CELLS)
    call write
    MAP(1, FRAME + P + RW)
    cmpl %ebp, DEVICE + 0x30
    CHECK(e)
    decl %ebp
    jnz 2b
    PASS

both:
    movb %bl, (%rdi)
    cmpb %bl, (%rdi)
    CHECK(e)
    movw %bx, 2(%rdi)
    cmpw %bx, 2(%rdi)
    CHECK(e)
    movl %ebx, 4(%rdi)
    cmpl %ebx, 4(%rdi)
    CHECK(e)
    movq %rbx, 8(%rdi)
    cmpq %rbx, 8(%rdi)
    CHECK(e)
    ret
write:
    movl %ebp, (%rdi)
    ret
