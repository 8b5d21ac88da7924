// clang-format off: this is assembler.
// A program in 64-bit mode: include this, then write main64. Memory from 0 to 1 GiB is mapped one to
// one with 2 MiB pages for all; TEST_PAGE is mapped by page_table, whose entries a program edits.
// Events end in the record of bare.h and go on at the label TRY named, at CPL 0.

#include "bare.h"

#define PROGRAM_CODE .code64

#define CODE64 0x08
#define DATA64 0x10
#define USER_CODE32 0x1b
#define USER_DATA 0x23
#define USER_CODE64 0x2b
#define CODE32 0x30
#define TSS_SELECTOR 0x38
#define SLOT0 0x48 /* free for the program: gdt_slots */
#define SLOT1 0x50
#define SLOT2 0x58
#define SLOT3 0x60

#define STACK0 0x70000
#define INNER_STACK 0x78000
#define IST1_STACK 0x7c000
#define USER_STACK 0x68000

/* Paging structures. */
#define PML4 0x100000
#define PDPT 0x101000
#define PD 0x102000
#define TEST_PD 0x103000
#define TEST_PT 0x104000
/* Linear addresses of 512 pages; entry n is at TEST_PT + 8 * n. All are absent at first. */
#define TEST_PAGE 0x40000000
#define FRAME 0x200000 /* physical pages for them */

#define TRY(label)                  \
    movq $label, resume;            \
    movq $0xff, caught_vector;      \
    movl $0xffffffff, caught_error; \
    movq %rsp, saved_sp
#define CAUGHT(vector, error)         \
    EXPECT_EQ(vector, caught_vector); \
    EXPECT_EQ(error, caught_error)
#define NO_ERROR 0xffffffff

/* Entry n of the test pages. */
#define MAP(n, value) movq $(value), TEST_PT + 8 * (n); \
    invlpg TEST_PAGE + 0x1000 * (n)
#define TEST_ADDRESS(n) (TEST_PAGE + 0x1000 * (n))

#define ENTER_USER64(label) \
    pushq $USER_DATA;       \
    pushq $USER_STACK;      \
    pushq $0x3002;          \
    pushq $USER_CODE64;     \
    pushq $label;           \
    iretq
#define ENTER_USER32(label) \
    pushq $USER_DATA;       \
    pushq $USER_STACK;      \
    pushq $0x3002;          \
    pushq $USER_CODE32;     \
    pushq $label;           \
    iretq

#define DESCRIPTOR(base, limit, access, flags)                                   \
    .word (limit) & 0xffff, (base) & 0xffff;                                     \
    .byte ((base) >> 16) & 0xff, access, ((flags) << 4) | (((limit) >> 16) & 15), \
        ((base) >> 24) & 0xff

/* Fills slot n of the table: base and limit must be numbers. */
#define SET_SLOT(n, base, limit, access, flags)                                               \
    movl $(((limit) & 0xffff) | (((base) & 0xffff) << 16)), gdt_slots + 8 * (n);                \
    movl $((((base) >> 16) & 0xff) | ((access) << 8) | ((limit) & 0xf0000) | ((flags) << 20) |   \
           ((base) & 0xff000000)), gdt_slots + 8 * (n) + 4
/* A gate there: offset is a label below 64 KiB, parameters (or IST) a number. */
#define SET_GATE(n, selector, offset, access, parameters) \
    movl $offset, gdt_slots + 8 * (n);                    \
    movw $(selector), gdt_slots + 8 * (n) + 2;            \
    movl $(((access) << 8) | (parameters)), gdt_slots + 8 * (n) + 4

CATCH_VARIABLES

    .code16
real_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $0x7000, %sp
    lgdtl gdt_pointer
    movl %cr0, %eax
    orl $CR0_PE, %eax
    movl %eax, %cr0
    ljmpl $CODE32, $start32

    .code32
start32:
    movw $DATA64, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $PML4, %edi
    xorl %eax, %eax
    movl $0x5000 / 4, %ecx
    rep stosl
    movl $PDPT + P + RW + US, PML4
    movl $PD + P + RW + US, PDPT
    movl $TEST_PD + P + RW + US, PDPT + 8
    movl $TEST_PT + P + RW + US, TEST_PD
    movl $P + RW + US + PS, %eax
    xorl %ecx, %ecx
1:  movl %eax, PD(, %ecx, 8)
    addl $0x200000, %eax
    incl %ecx
    cmpl $512, %ecx
    jb 1b
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $PML4, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    movl $EFER_LME | EFER_NXE | EFER_SCE, %eax
    xorl %edx, %edx
    wrmsr
    movl %cr0, %eax
    orl $CR0_PG | CR0_WP, %eax
    movl %eax, %cr0
    ljmpl $CODE64, $start64

    .code64
start64:
    xorl %eax, %eax
    movw %ax, %fs
    movw %ax, %gs
    movq $STACK0, %rsp
    movl $stubs, %eax
    movl $idt, %edi
    xorl %ecx, %ecx
1:  movw %ax, (%rdi)
    movw $CODE64, 2(%rdi)
    movw $0x8e00, 4(%rdi)
    cmpl $0x20, %ecx
    jb 2f
    movw $0xee00, 4(%rdi)
2:  movl %eax, %edx
    shrl $16, %edx
    movw %dx, 6(%rdi)
    addl $16, %eax
    addl $16, %edi
    incl %ecx
    cmpl $48, %ecx
    jb 1b
    lidtq idt_pointer
    movl $tss, %eax
    movw %ax, gdt + TSS_SELECTOR + 2
    shrl $16, %eax
    movb %al, gdt + TSS_SELECTOR + 4
    movw $TSS_SELECTOR, %ax
    ltr %ax
    jmp main64

    .balign 16
stubs:
    .set vector, 0
    .rept 48
    .balign 16
    .if vector != 8 && vector != 10 && vector != 11 && vector != 12 && vector != 13 && vector != 14 && vector != 17
    pushq $-1
    .endif
    pushq $vector
    jmp catch
    .set vector, vector + 1
    .endr

/* Frame: vector, error, RIP, CS, RFLAGS, RSP, SS. */
catch:
    pushq %rax
    movq 8(%rsp), %rax
    movq %rax, caught_vector
    movq 16(%rsp), %rax
    movq %rax, caught_error
    movq 24(%rsp), %rax
    movq %rax, caught_ip
    movq 32(%rsp), %rax
    movq %rax, caught_cs
    movq 40(%rsp), %rax
    movq %rax, caught_flags
    movq 48(%rsp), %rax
    movq %rax, caught_sp
    movq 56(%rsp), %rax
    movq %rax, caught_ss
    movq %cr2, %rax
    movq %rax, caught_cr2
    leaq 24(%rsp), %rax /* of the pushed RIP */
    movq %rax, handler_sp
    incq caught_count
    cmpq $0, hook
    je 1f
    popq %rax
    addq $16, %rsp
    jmp *hook
1:  cmpq $0, resume
    jne 2f
    UNEXPECTED_EVENT
2:  movw $DATA64, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movq saved_sp, %rsp
    pushq $0x2
    popfq
    movq resume, %rax
    movq $0, resume
    jmp *%rax

    .data
    .balign 16
gdt:
    .quad 0
    DESCRIPTOR(0, 0xfffff, 0x9a, 0xa)
    DESCRIPTOR(0, 0xfffff, 0x92, 0xc)
    DESCRIPTOR(0, 0xfffff, 0xfa, 0xc)
    DESCRIPTOR(0, 0xfffff, 0xf2, 0xc)
    DESCRIPTOR(0, 0xfffff, 0xfa, 0xa)
    DESCRIPTOR(0, 0xfffff, 0x9a, 0xc)
    DESCRIPTOR(0, 0x67, 0x89, 0)
    .quad 0
gdt_slots:
    .fill 8, 8, 0
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt
    .balign 16
idt:
    .fill 96, 8, 0
idt_pointer:
    .word 48 * 16 - 1
    .quad idt
    .balign 16
tss:
    .long 0
    .quad INNER_STACK, 0, 0, 0
    .quad IST1_STACK, 0, 0, 0, 0, 0, 0
    .quad 0
    .word 0, 0x68
    .text
    .code64
