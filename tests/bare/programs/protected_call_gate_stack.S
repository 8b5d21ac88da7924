// A call gate whose inner stack is unusable: #TS and #SS with the new SS; nothing changed.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

main32:
    SET_GATE(0, CODE32, inner, 0xec, 0)
    SET_SLOT(1, 0, 0xfffff, 0x12, 0xc) // not present data
    // The fault's own handler would need the same stack: it runs in a task of its own.
    movl $handler_tss, %eax
    SET_SLOT(2, 0, 0x67, 0x89, 0)
    movw %ax, gdt_slots + 8 * 2 + 2
    shrl $16, %eax
    movb %al, gdt_slots + 8 * 2 + 4
    movl $SLOT2 << 16, idt + TS * 8
    movl $0x8500, idt + TS * 8 + 4
    movl $SLOT2 << 16, idt + SS * 8
    movl $0x8500, idt + SS * 8 + 4

    movl $0, tss + 8 // SS0 is null
    movl $0, expected
    call to_user
    movl $CODE32, tss + 8 // not data
    movl $CODE32, expected
    call to_user
    movl $USER_DATA32, tss + 8 // RPL and DPL of another level
    movl $USER_DATA32 & ~3, expected
    call to_user
    movl $0x1000, tss + 8 // beyond the table
    movl $0x1000, expected
    call to_user
    movl $SLOT1, tss + 8 // not present: #SS
    movl $SLOT1, expected
    call to_user
    PASS

// To CPL 3, where the call faults; the handler's task comes back here.
to_user:
    movl %esp, saved_sp
    ENTER_USER(user)
user:
    lcall $SLOT0, $0
inner:
    FAIL

// The task: error code on its stack; returns to level 0 by changing the old task's image.
handler:
    popl %eax
    cmpl expected, %eax
    CHECK(e)
    EXPECT_EQ(user, tss + 0x20)
    movl $back, tss + 0x20
    movl $CODE32, tss + 0x4c
    movl $DATA32, tss + 0x50
    movl saved_sp, %eax
    movl %eax, tss + 0x38
    movl $DATA32, tss + 0x54
    iretl
    jmp handler // the next switch comes in behind IRET

back:
    clts
    ret

    .data
expected: .long 0
    .balign 16
handler_tss:
    .long 0
    .long 0, 0, 0, 0, 0, 0
    .long 0                 // CR3
    .long handler, 2        // EIP, EFLAGS
    .long 0, 0, 0, 0        // EAX ECX EDX EBX
    .long 0x60000, 0, 0, 0  // ESP EBP ESI EDI
    .long DATA32, CODE32, DATA32, DATA32, DATA32, DATA32
    .long 0
    .word 0, 0x68
