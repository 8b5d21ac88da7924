// Brings every processor from its start-up IPI (the first one from the host) to 64-bit mode and to
// processor_main(number), on a stack of its own. Loaded at 8000h and entered there in real mode.

#include "layout.h"

#define CODE32 0x08
#define CODE64 0x10
#define DATA 0x18

    .section .start, "ax"
    .code16
    .globl image_start
image_start:
    cli
    ljmp $0, $real_start
real_start:
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl gdt_pointer
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $CODE32, $start32

    .code32
start32:
    movw $DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $1, %ebx
    lock xaddl %ebx, next_processor
    testl %ebx, %ebx
    jnz 2f
    // The first one makes the tables: 1 GiB one to one, and a table of its own for WINDOWS.
    movl $PAGE_TABLES, %edi
    xorl %eax, %eax
    movl $0x5000 / 4, %ecx
    cld
    rep stosl
    movl $PAGE_TABLES + 0x1000 + 3, PAGE_TABLES
    movl $PAGE_TABLES + 0x2000 + 3, PAGE_TABLES + 0x1000
    movl $PAGE_TABLES + 0x3000 + 3, PAGE_TABLES + 0x1000 + 8
    movl $WINDOW_TABLE + 3, PAGE_TABLES + 0x3000
    movl $0x83, %eax
    xorl %ecx, %ecx
1:  movl %eax, PAGE_TABLES + 0x2000(, %ecx, 8)
    addl $0x200000, %eax
    incl %ecx
    cmpl $512, %ecx
    jb 1b
2:  movl $0x6a0, %eax // PAE, PGE, OSFXSR, OSXMMEXCPT
    movl %eax, %cr4
    movl $PAGE_TABLES, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    movl $0x100, %eax // LME
    xorl %edx, %edx
    wrmsr
    movl $0x80010023, %eax // PG WP NE MP PE
    movl %eax, %cr0
    ljmpl $CODE64, $start64

    .code64
start64:
    xorl %eax, %eax
    movw %ax, %fs
    movw %ax, %gs
    leal 1(%rbx), %esp
    shll $STACK_SHIFT, %esp
    addl $STACKS, %esp
    fninit
    pushq $0x1f80
    ldmxcsr (%rsp)
    addq $8, %rsp
    movl %ebx, %edi
    movl $processor_main, %eax
    call *%rax
1:  hlt
    jmp 1b

    // Exceptions that nobody expects: vector, error code or 0, then the frame.
    .balign 16
    .globl exception_stubs
exception_stubs:
    .set vector, 0
    .rept 32
    .balign 16
    .if vector != 8 && vector != 10 && vector != 11 && vector != 12 && vector != 13 && vector != 14 && vector != 17
    pushq $0
    .endif
    pushq $vector
    jmp exception
    .set vector, vector + 1
    .endr
exception:
    movq (%rsp), %rdi
    movq 8(%rsp), %rsi
    movq 16(%rsp), %rdx
    movq %cr2, %rcx
    andq $-16, %rsp
    call unexpected_exception

    .section .data
    .balign 8
next_processor: .long 0
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
gdt_pointer:
    .word . - gdt - 1
    .long gdt
    .section .note.GNU-stack, "", @progbits
