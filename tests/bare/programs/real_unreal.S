// "Unreal" mode: a limit of 4 GiB loaded in protected mode stays in real mode.
#include "real.h"
PROGRAM(EXPECT_EXIT)

main16:
    movw $general, GP * 4
    movw $0, GP * 4 + 2
    movl $0x200000, %ebx
    movl (%ebx), %eax // beyond 64 KiB
    cmpw $1, faults
    CHECK(e)

    lgdtl pointer
    movl %cr0, %eax
    orb $CR0_PE, %al
    movl %eax, %cr0
    movw $8, %cx
    movw %cx, %ds
    movw %cx, %es
    andb $~CR0_PE, %al
    movl %eax, %cr0
    xorw %cx, %cx
    movw %cx, %ds
    movw %cx, %es

    movl $0x12345678, (%ebx)
    movl $0, %eax
    movl (%ebx), %eax
    cmpl $0x12345678, %eax
    CHECK(e)
    movw $0x10, %cx // reloading keeps the limit
    movw %cx, %es
    movl %es:-0x100(%ebx), %eax
    cmpl $0x12345678, %eax
    CHECK(e)
    cmpw $1, faults
    CHECK(e)
    PASS

general:
    incw faults
    movw %sp, %bp
    addw $4, (%bp)
    iretw

    .data
faults: .word 0
    .balign 8
gdt:
    .quad 0
    .quad 0x008f92000000ffff
pointer:
    .word 15
    .long gdt
