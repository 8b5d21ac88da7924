// Other code at the same linear address: by INVLPG, by writing CR3 with and without PCIDs, under
// global pages, in the second page of an instruction; and code that becomes not executable.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define CODE TEST_ADDRESS(1)
#define ENTRY(n) (TEST_PT + 8 * (n))
#define ONE FRAME
#define TWO (FRAME + 0x1000)
#define FUNCTION(at, value) movb $0xb8, at; movl $value, at + 1; movb $0xc3, at + 5
#define GIVES(value)       \
    movl $CODE, %r15d;     \
    call *%r15;            \
    EXPECT_EQ(value, %eax)
/* A second root whose tables differ only in the test pages. */
#define OTHER_PML4 0x110000
#define OTHER_PDPT 0x111000
#define OTHER_TEST_PD 0x112000
#define OTHER_TEST_PT 0x113000

main64:
    FUNCTION(ONE, 1)
    FUNCTION(TWO, 2)
    movl $300, %ebx
2:  MAP(1, ONE + P + RW)
    GIVES(1)
    GIVES(1)
    MAP(1, TWO + P + RW)
    GIVES(2)
    GIVES(2)
    decl %ebx
    jnz 2b

    // Under the code that does it: the page of the INVLPG itself.
    movl $remapper, %esi
    movl $ONE + 0x100, %edi
    movl $remapper_end - remapper, %ecx
    rep movsb
    movl $remapper, %esi
    movl $TWO + 0x100, %edi
    movl $remapper_end - remapper, %ecx
    rep movsb
    movl $22, TWO + 0x100 + remapper_value - remapper + 1
    movl $11, ONE + 0x100 + remapper_value - remapper + 1
    movl $CODE + 0x100, %r15d
    movl $100, %ebx
2:  MAP(1, ONE + P + RW)
    movl $TWO + P + RW, %edi
    call *%r15
    EXPECT_EQ(22, %eax)
    movl $ONE + P + RW, %edi
    call *%r15
    EXPECT_EQ(11, %eax)
    decl %ebx
    jnz 2b

    // An instruction across pages 3 and 4, the second of which is exchanged.
    movb $0xb8, ONE + 0xffe
    movb $7, ONE + 0xfff
    movl $0xc3000000, TWO
    movl $0xc3000001, TWO + 0x1000
    MAP(3, ONE + P + RW)
    movl $TEST_ADDRESS(3) + 0xffe, %r15d
    movl $100, %ebx
2:  MAP(4, TWO + P + RW)
    call *%r15
    EXPECT_EQ(7, %eax)
    MAP(4, TWO + 0x1000 + P + RW)
    call *%r15
    EXPECT_EQ(0x107, %eax)
    decl %ebx
    jnz 2b
    // The second page goes: the fault is the fetch's, at its first byte.
    movabsq $0x8000000000000000, %rax
    orq %rax, ENTRY(4)
    invlpg TEST_ADDRESS(4)
    TRY(1f)
    call *%r15
    FAIL
1:  CAUGHT(PF, PF_P | PF_I)
    EXPECT_EQ(TEST_ADDRESS(3) + 0xffe, caught_ip)
    EXPECT_EQ(TEST_ADDRESS(4), caught_cr2)
    MAP(4, 0)
    TRY(1f)
    call *%r15
    FAIL
1:  CAUGHT(PF, PF_I)
    // A hot function whose page is taken away, and comes back.
    FUNCTION(TWO, 2)
    MAP(1, ONE + P + RW)
    GIVES(1)
    MAP(1, 0)
    TRY(1f)
    movl $CODE, %r15d
    call *%r15
    FAIL
1:  CAUGHT(PF, PF_I)
    EXPECT_EQ(CODE, caught_cr2)
    MAP(1, ONE + P + RW)
    GIVES(1)

    // Two address spaces without PCIDs.
    movl $PML4, %esi
    movl $OTHER_PML4, %edi
    movl $0x1000, %ecx
    rep movsb
    movl $PDPT, %esi
    movl $0x1000, %ecx
    rep movsb
    xorl %eax, %eax
    movl $0x2000, %ecx
    rep stosb
    movl $OTHER_PDPT + P + RW + US, OTHER_PML4
    movl $OTHER_TEST_PD + P + RW + US, OTHER_PDPT + 8
    movl $OTHER_TEST_PT + P + RW + US, OTHER_TEST_PD
    movl $TWO + P + RW, OTHER_TEST_PT + 8
    movl $PML4, %esi
    movl $OTHER_PML4, %edi
    movl $300, %ebx
    movl $CODE, %r15d
2:  movq %rdi, %cr3
    call *%r15
    EXPECT_EQ(2, %eax)
    movq %rsi, %cr3
    call *%r15
    EXPECT_EQ(1, %eax)
    decl %ebx
    jnz 2b

    // With PCIDs, forgetting nothing.
    movq %cr4, %rax
    orl $CR4_PCIDE, %eax
    movq %rax, %cr4
    movabsq $0x8000000000000000, %rcx
    leaq 1(%rsi), %rsi
    leaq 2(%rdi), %rdi
    movq %rdi, %cr3
    movq %rsi, %cr3
    orq %rcx, %rsi
    orq %rcx, %rdi
    movl $300, %ebx
2:  movq %rdi, %cr3
    call *%r15
    EXPECT_EQ(2, %eax)
    movq %rsi, %cr3
    call *%r15
    EXPECT_EQ(1, %eax)
    decl %ebx
    jnz 2b
    // The code under one of them changes, seen from the other.
    movl $300, %ebx
2:  movl %ebx, TWO + 1
    movq %rdi, %cr3
    call *%r15
    cmpl %ebx, %eax
    CHECK(e)
    movq %rsi, %cr3
    movl %ebx, ONE + 1
    call *%r15
    cmpl %ebx, %eax
    CHECK(e)
    decl %ebx
    jnz 2b
    // The mapping of one PCID changes and is invalidated from the other.
    FUNCTION(ONE, 1)
    FUNCTION(TWO, 2)
    FUNCTION(TWO + 0x1000, 3)
    movq %rdi, %cr3
    call *%r15
    EXPECT_EQ(2, %eax)
    movq %rsi, %cr3
    movl $TWO + 0x1000 + P + RW, OTHER_TEST_PT + 8
    movq $2, descriptor
    xorl %eax, %eax
    invpcid descriptor, %rax
    movq %rdi, %cr3
    call *%r15
    EXPECT_EQ(3, %eax)
    movq %rsi, %cr3
    call *%r15
    EXPECT_EQ(1, %eax)
    PASS

// Maps page 1 anew by %rdi and goes on in what is there then.
remapper:
    movl %edi, ENTRY(1)
    invlpg CODE
remapper_value:
    movl $0, %eax
    ret
remapper_end:

    .data
    .balign 16
descriptor: .quad 0, CODE
