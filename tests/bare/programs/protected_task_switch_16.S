// A 16-bit TSS: what it saves and loads, and back by IRET to the 32-bit task; tasks that fail to load.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

main32:
    SET_SLOT(0, 0, 0x2b, 0x81, 0)
    movl $tss16, %eax
    movw %ax, gdt_slots + 2
    shrl $16, %eax
    movb %al, gdt_slots + 4
    movl $0xaaaa5555, %ebx
    lcall $SLOT0, $0
back:
    EXPECT_EQ(0xaaaa5555, %ebx)
    EXPECT_EQ(1, visits)
    cmpw $0x1234, tss16 + 0x12 // its AX was saved
    CHECK(e)
    cmpw $TSS_SELECTOR, tss16
    CHECK(e)
    clts

    // A task whose data segment is bad faults in the new task: #TS with the selector, CS:IP its first
    // instruction.
    movw $entry16, tss16 + 0x0e
    movw $0x180, tss16 + 0x28 // DS beyond the table
    movw $cut_stack, idt + TS * 8
    TRY(1f)
    lcall $SLOT0, $0
    FAIL
1:  CAUGHT(TS, 0x180)
    EXPECT_EQ(entry16, caught_ip)
    EXPECT_EQ(CODE16, caught_cs)
    strl %eax
    EXPECT_EQ(SLOT0, %eax)
    PASS

// The upper half of ESP is not the 16-bit task's to set.
cut_stack:
    movzwl %sp, %esp
    jmp stubs + TS * 16

    .code16
entry16:
    movw $DATA32, %ax
    movw %ax, %ds
    incl visits
    movw $0x1234, %ax
    iretw
    .code32

    .data
visits: .long 0
    .balign 16
tss16:
    .word 0
    .word 0, 0, 0, 0, 0, 0
    .word entry16, 2
    .word 0, 0, 0, 0, 0x6000, 0, 0, 0
    .word DATA16, CODE16, DATA16, DATA16
    .word 0
