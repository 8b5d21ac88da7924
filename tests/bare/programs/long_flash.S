// clang-format off
// Memory that turns into a device and back by what is written to it: the very next access sees
// it, in code that is hot as well; writes to read-only memory leave it as it is; code runs from it.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define FLASH_AT TEST_ADDRESS(8)

main64:
    movq $FLASH + P + RW + US, %rax
    movq %rax, TEST_PT + 8 * 8
    invlpg FLASH_AT
    movl $FLASH_AT, %edi
    movl $500, %ebx
2:  movzbl 5(%rdi), %eax
    movb $0x70, 5(%rdi)
    movzbl 5(%rdi), %ecx
    movl 8(%rdi), %edx
    movb $0xff, (%rdi)
    movl 8(%rdi), %esi
    cmpl $5, %eax
    CHECK(e)
    EXPECT_EQ(0x80, %ecx)
    EXPECT_EQ(0x80808080, %edx)
    EXPECT_EQ(0x0b0a0908, %esi)
    decl %ebx
    jnz 2b

    // The byte C3h lies at offset C3h: a subroutine that returns at once.
    movl $300, %ebx
    movl $FLASH_AT + 0xc3, %edi
2:  call *%rdi
    decl %ebx
    jnz 2b

    // A page table in read-only memory: accessed bits cannot be set, and nothing is harmed.
    movl $FLASH_AT, %edi
    movb $0xff, 0x20(%rdi)
    EXPECT_EQ(0x23222120, 0x20(%rdi))
    PASS
