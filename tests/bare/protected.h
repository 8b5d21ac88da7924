// clang-format off: this is assembler.
// A program in 32-bit protected mode without paging: include this, then write main32. Its events end
// in the record of bare.h and go on at the label TRY named, at CPL 0.

#include "bare.h"

#define PROGRAM_CODE .code32

#define CODE32 0x08
#define DATA32 0x10
#define USER_CODE32 0x1b
#define USER_DATA32 0x23
#define TSS_SELECTOR 0x28
#define CODE16 0x30
#define DATA16 0x38
#define SLOT0 0x40 /* free for the program: gdt_slots */
#define SLOT1 0x48
#define SLOT2 0x50
#define SLOT3 0x58

#define STACK0 0x70000
#define INNER_STACK 0x78000 /* ESP0 of the TSS */
#define USER_STACK 0x68000

/* Goes on at `label` after an event. */
#define TRY(label)           \
    movl $label, resume;     \
    movl $0xff, caught_vector; \
    movl $0xffffffff, caught_error; \
    movl %esp, saved_sp

/* The event was this one; error: ~0 if it pushes none. */
#define CAUGHT(vector, error)           \
    EXPECT_EQ(vector, caught_vector);   \
    EXPECT_EQ(error, caught_error)
#define NO_ERROR 0xffffffff

/* To CPL 3 at `label`; interrupts off, IOPL 3 so that it may use the exit port. */
#define ENTER_USER(label)   \
    pushl $USER_DATA32;     \
    pushl $USER_STACK;      \
    pushl $0x3002;          \
    pushl $USER_CODE32;     \
    pushl $label;           \
    iretl

/* A descriptor from base, limit (20 bits), access byte and flags nibble. */
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
    movw $DATA32, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw %ax, %fs
    movw %ax, %gs
    movl $STACK0, %esp
    /* 48 interrupt gates, DPL 3 from 0x20 on. */
    movl $stubs, %eax
    movl $idt, %edi
    xorl %ecx, %ecx
1:  movw %ax, (%edi)
    movw $CODE32, 2(%edi)
    movw $0x8e00, 4(%edi)
    cmpl $0x20, %ecx
    jb 2f
    movw $0xee00, 4(%edi)
2:  movl %eax, %edx
    shrl $16, %edx
    movw %dx, 6(%edi)
    addl $16, %eax
    addl $8, %edi
    incl %ecx
    cmpl $48, %ecx
    jb 1b
    lidtl idt_pointer
    movl $tss, %eax
    movw %ax, gdt + TSS_SELECTOR + 2
    shrl $16, %eax
    movb %al, gdt + TSS_SELECTOR + 4
    movw $TSS_SELECTOR, %ax
    ltr %ax
    jmp main32

    .balign 16
stubs:
    .set vector, 0
    .rept 48
    .balign 16
    .if vector != 8 && vector != 10 && vector != 11 && vector != 12 && vector != 13 && vector != 14 && vector != 17
    pushl $-1
    .endif
    pushl $vector
    jmp catch
    .set vector, vector + 1
    .endr

/* Frame: vector, error, EIP, CS, EFLAGS, and ESP, SS from another level. */
catch:
    pushl %eax
    pushl %ds
    movw $DATA32, %ax
    movw %ax, %ds
    movl 8(%esp), %eax
    movl %eax, caught_vector
    movl 12(%esp), %eax
    movl %eax, caught_error
    movl 16(%esp), %eax
    movl %eax, caught_ip
    movl 20(%esp), %eax
    movl %eax, caught_cs
    movl 24(%esp), %eax
    movl %eax, caught_flags
    movl 28(%esp), %eax
    movl %eax, caught_sp
    movl 32(%esp), %eax
    movl %eax, caught_ss
    movl %cr2, %eax
    movl %eax, caught_cr2
    movl %esp, handler_sp
    addl $16, handler_sp /* of the pushed EIP */
    incl caught_count
    cmpl $0, hook
    je 1f
    popl %ds
    popl %eax
    addl $8, %esp
    jmp *%cs:hook
1:  cmpl $0, resume
    jne 2f
    UNEXPECTED_EVENT
2:  movw $DATA32, %ax
    movw %ax, %es
    movw %ax, %ss
    movl saved_sp, %esp
    pushl $0x2
    popfl
    xorl %eax, %eax
    movl resume, %eax
    movl $0, resume
    jmp *%eax

    .data
    .balign 16
gdt:
    .quad 0
    DESCRIPTOR(0, 0xfffff, 0x9a, 0xc)
    DESCRIPTOR(0, 0xfffff, 0x92, 0xc)
    DESCRIPTOR(0, 0xfffff, 0xfa, 0xc)
    DESCRIPTOR(0, 0xfffff, 0xf2, 0xc)
    DESCRIPTOR(0, 0x67 + 0x2020, 0x89, 0)
    DESCRIPTOR(0, 0xffff, 0x9a, 0)
    DESCRIPTOR(0, 0xffff, 0x92, 0)
gdt_slots:
    .fill 8, 8, 0
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
    .balign 8
idt:
    .fill 48, 8, 0
idt_pointer:
    .word 48 * 8 - 1
    .long idt
    .balign 16
tss:
    .long 0
    .long INNER_STACK, DATA32
    .fill 22, 4, 0
    .word 0, 0x68 + 32
    .fill 32, 1, 0 /* interrupt redirection map */
    .fill 0x2000, 1, 0 /* I/O permission map: everything allowed */
    .byte 0xff
    .text
    .code32
