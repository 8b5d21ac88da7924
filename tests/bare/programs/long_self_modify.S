// Code that changes itself: by every kind of store, in front of and behind itself, in the loop that
// is running, through another address of the same page, across pages.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define BUFFER 0x300000      /* mov $n, %eax; ret */
#define CROSSING 0x301ffd    /* the same, whose constant is in the next page */

#define FUNCTION(at) movb $0xb8, at; movl $0, at + 1; movb $0xc3, at + 5
#define GIVES(value, at)   \
    movl $at, %r15d;       \
    call *%r15;            \
    EXPECT_EQ(value, %eax)

main64:
    movq %cr4, %rax
    orl $0x600, %eax // OSFXSR
    movq %rax, %cr4
    movq %cr0, %rax
    andl $~4, %eax
    movq %rax, %cr0

    // The next instruction, again and again.
    movl $1, %ebx
2:  movl %ebx, 1f + 1
1:  movl $0, %eax
    cmpl %ebx, %eax
    CHECK(e)
    incl %ebx
    cmpl $1000, %ebx
    jb 2b

    // The loop that is running: an instruction earlier in it, and its own branch at last.
    xorl %ecx, %ecx
    xorl %edx, %edx
2:  .byte 0x81, 0xc2 // add $0, %edx
1:  .long 0
    incl %ecx
    movl %ecx, 1b
    cmpl $100, %ecx
    jne 3f
    movw $0x9090, loop_branch
3:
loop_branch:
    jmp 2b
    EXPECT_EQ(4950, %edx)

    // INC becomes DEC and the other way round with every pass.
    movl $1001, %ecx
    xorl %eax, %eax
2:  xorb $8, 1f + 1
1:  incl %eax
    decl %ecx
    jnz 2b
    EXPECT_EQ(-1, %eax)

    // Every kind of store.
    FUNCTION(BUFFER)
    GIVES(0, BUFFER)
    movl $1, BUFFER + 1
    GIVES(1, BUFFER)
    movw $0x102, BUFFER + 1
    GIVES(0x102, BUFFER)
    movb $3, BUFFER + 1
    GIVES(0x103, BUFFER)
    addl $4, BUFFER + 1
    GIVES(0x107, BUFFER)
    lock incl BUFFER + 1
    GIVES(0x108, BUFFER)
    movl $9, %eax
    xchgl %eax, BUFFER + 1
    EXPECT_EQ(0x108, %eax)
    GIVES(9, BUFFER)
    movl $9, %eax
    movl $10, %ecx
    lock cmpxchgl %ecx, BUFFER + 1
    CHECK(e)
    GIVES(10, BUFFER)
    movl $1, %eax
    lock xaddl %eax, BUFFER + 1
    GIVES(11, BUFFER)
    btsl $8, BUFFER + 1
    GIVES(0x10b, BUFFER)
    movl $0x20c, %eax
    movd %eax, %xmm0
    movd %xmm0, BUFFER + 1
    GIVES(0x20c, BUFFER)
    movups BUFFER, %xmm1
    movb $0xee, BUFFER + 1
    movups %xmm1, BUFFER
    GIVES(0x20c, BUFFER)
    movl $0x30d, %eax
    movnti %eax, BUFFER + 1
    sfence
    GIVES(0x30d, BUFFER)
    movl $0x40e, %eax
    movl $BUFFER + 1, %edi
    stosl
    GIVES(0x40e, BUFFER)
    movl $5, %eax
    movl $BUFFER + 1, %edi
    movl $3, %ecx
    rep stosb
    GIVES(0x050505, BUFFER)
    movl $constant, %esi
    movl $BUFFER + 1, %edi
    movsl
    GIVES(0x12345678, BUFFER)
    movq %rsp, %rbx
    movabsq $0xc300000111, %rax
    movl $BUFFER + 1 + 8, %esp
    pushq %rax
    movq %rbx, %rsp
    GIVES(0x111, BUFFER)
    fninit
    fildl integer
    fistpl BUFFER + 1
    GIVES(777, BUFFER)
    movl $BUFFER, %esi
    movq (%rsi), %rax
    movq 8(%rsi), %rdx
    movl $0xb8, %ebx
    orq $0x99900, %rbx
    movabsq $0xc30000000000, %rcx
    orq %rcx, %rbx
    movq %rdx, %rcx
    lock cmpxchg16b (%rsi)
    CHECK(e)
    GIVES(0x999, BUFFER)
    movl $0x11, %eax
    movb %al, BUFFER + 1
    sete BUFFER + 2 // ZF is still what EXPECT_EQ left
    GIVES(0x111, BUFFER)

    // A new function over the old one, of another length, by a block copy.
    movl $500, %ebx
2:  movl $long_function, %esi
    movl $BUFFER, %edi
    movl $long_function_end - long_function, %ecx
    rep movsb
    GIVES(0x77, BUFFER)
    movl $short_function, %esi
    movl $BUFFER, %edi
    movl $short_function_end - short_function, %ecx
    rep movsb
    GIVES(0x55, BUFFER)
    decl %ebx
    jnz 2b

    // Through another address.
    MAP(1, BUFFER + P + RW)
    MAP(2, BUFFER + P + RW)
    FUNCTION(BUFFER)
    movl $300, %ebx
2:  movl %ebx, TEST_ADDRESS(1) + 1
    call TEST_ADDRESS(2)
    cmpl %ebx, %eax
    CHECK(e)
    incl %ebx
    movl %ebx, TEST_ADDRESS(2) + 1
    movl $BUFFER, %r15d
    call *%r15
    cmpl %ebx, %eax
    CHECK(e)
    decl %ebx
    movl %ebx, BUFFER + 1
    call TEST_ADDRESS(1)
    cmpl %ebx, %eax
    CHECK(e)
    decl %ebx
    jnz 2b

    // An instruction across two pages, in either of which it changes.
    FUNCTION(CROSSING)
    GIVES(0, CROSSING)
    movb $1, CROSSING + 4
    GIVES(0x01000000, CROSSING)
    movb $2, CROSSING + 1
    GIVES(0x01000002, CROSSING)
    movl $0x04030201, CROSSING + 1
    GIVES(0x04030201, CROSSING)
    movl $200, %ebx
2:  movl %ebx, CROSSING + 1
    movl $CROSSING, %r15d
    call *%r15
    cmpl %ebx, %eax
    CHECK(e)
    decl %ebx
    jnz 2b
    // Also one that now ends in its first page.
    movw $0xc390, CROSSING
    movl $5, %eax
    GIVES(5, CROSSING)
    FUNCTION(CROSSING)
    GIVES(0, CROSSING)

    // A store of which only the end reaches the code, from the page in front of it.
    movl $0x302000, %edi
    movb $0xb8, (%rdi)
    movl $1, 1(%rdi)
    movb $0xc3, 5(%rdi)
    GIVES(1, 0x302000)
    movabsq $0x0002b80000000000, %rax
    movq %rax, -5(%rdi)
    GIVES(2, 0x302000)
    movl $3, 1(%rdi)
    GIVES(3, 0x302000)

    // A jump that is switched on and off, as kernels do.
    movl $100, %ebx
2:  movl $0x00441f0f, site
    movb $0, site + 4
    xorl %eax, %eax
    call switched
    EXPECT_EQ(1, %eax)
    movb $0xe9, site
    movl $elsewhere - site - 5, site + 1
    xorl %eax, %eax
    call switched
    EXPECT_EQ(2, %eax)
    decl %ebx
    jnz 2b

    // A breakpoint set into a function that was hot.
    FUNCTION(BUFFER)
    movl $200, %ebx
2:  movl $BUFFER, %r15d
    call *%r15
    decl %ebx
    jnz 2b
    TRY(1f)
    movb $0xcc, BUFFER
    call *%r15
    FAIL
1:  CAUGHT(BP, NO_ERROR)
    movb $0xb8, BUFFER
    GIVES(0, BUFFER)
    // And one set by the instruction just in front of it.
    TRY(1f)
    movb $0xcc, 2f
2:  nop
    FAIL
1:  CAUGHT(BP, NO_ERROR)
    PASS

    .balign 16
switched:
    nop
site:
    .byte 0x0f, 0x1f, 0x44, 0, 0
    movl $1, %eax
    ret
elsewhere:
    movl $2, %eax
    ret

long_function:
    xorl %eax, %eax
    movl $7, %ecx
1:  addl $0x11, %eax
    loop 1b
    ret
long_function_end:
short_function:
    pushq $0x55
    popq %rax
    ret
short_function_end:

    .data
constant: .long 0x12345678
integer: .long 777
