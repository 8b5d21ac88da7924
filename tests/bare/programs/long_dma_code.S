// A device writes into code: between two runs of it, into the block that asked for it, and into
// a loop that waits for just that.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define BUFFER 0x300000

main64:
    movb $0xb8, BUFFER
    movl $0, BUFFER + 1
    movb $0xc3, BUFFER + 5
    movl $BUFFER, %r15d
    movw $DMA_ADDRESS_PORT, %dx
    movl $BUFFER + 1, %eax
    outl %eax, %dx
    // Hot, then changed.
    movl $300, %ebx
2:  movl %ebx, %eax
    movw $DMA_PORT, %dx
    outl %eax, %dx
    call *%r15
    cmpl %ebx, %eax
    CHECK(e)
    call *%r15
    cmpl %ebx, %eax
    CHECK(e)
    decl %ebx
    jnz 2b

    // What follows in the same block.
    movl $300, %ebx
2:  movw $DMA_ADDRESS_PORT, %dx
    movl $1f + 1, %eax
    outl %eax, %dx
    movw $DMA_PORT, %dx
    movl %ebx, %eax
    outl %eax, %dx
1:  movl $0, %ecx
    cmpl %ebx, %ecx
    CHECK(e)
    decl %ebx
    jnz 2b

    // Loops that end when another thread has changed them.
    movw $DMA_ADDRESS_PORT, %dx
    movl $1f + 1, %eax
    outl %eax, %dx
    movw $LATE_DMA_PORT, %dx
    movl $5, %eax
    outl %eax, %dx
1:  movl $0, %ecx
    testl %ecx, %ecx
    jz 1b
    EXPECT_EQ(5, %ecx)

    movw $DMA_ADDRESS_PORT, %dx
    movl $1f, %eax
    outl %eax, %dx
    movw $LATE_DMA_PORT, %dx
    movl $0x90909090, %eax
    outl %eax, %dx
1:  jmp 1b
    nop
    nop
    PASS
