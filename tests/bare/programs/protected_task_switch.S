// Hardware task switches: CALL and IRET nest, JMP does not, busy bits, NT, the link, TS, what is saved,
// T's debug trap, refusals.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

#define BUSY(n) gdt_slots + 8 * (n) + 5

main32:
    SET_SLOT(0, 0, 0x67, 0x89, 0)
    movl $other_tss, %eax
    movw %ax, gdt_slots + 2
    shrl $16, %eax
    movb %al, gdt_slots + 4
    SET_SLOT(1, 0, 0x66, 0x89, 0) // too short
    SET_GATE(2, SLOT0, 0, 0x85, 0) // a task gate

    // CALL: nested.
    movl $0x12345678, %esi
    std
    lcall $SLOT0, $0
back1:
    cld
    clts
    EXPECT_EQ(0x12345678, %esi)
    testb $2, BUSY(0) // the nested task is free again
    CHECK(z)
    EXPECT_EQ(1, visits)
    EXPECT_EQ(back1, tss + 0x20) // saved when it was left
    testl $0x400, tss + 0x24     // DF
    CHECK(nz)
    EXPECT_EQ(CODE32, tss + 0x4c)
    strl %eax
    EXPECT_EQ(TSS_SELECTOR, %eax)

    // Through a task gate.
    lcall $SLOT2, $0
    EXPECT_EQ(2, visits)

    // JMP: not nested; the other jumps back.
    movb $1, jumping
    ljmp $SLOT0, $0
back2:
    EXPECT_EQ(3, visits)
    pushfl
    popl %eax
    testl $0x4000, %eax
    CHECK(z)
    movb $0, jumping

    // An interrupt through a task gate.
    movl $SLOT0 << 16, idt + 0x24 * 8
    movl $0x8500, idt + 0x24 * 8 + 4
    movl $other, other_tss + 0x20
    int $0x24
    EXPECT_EQ(4, visits)

    // The current task is busy: no way to itself.
    TRY(1f)
    lcall $TSS_SELECTOR, $0
    FAIL
1:  CAUGHT(GP, TSS_SELECTOR)
    TRY(1f)
    lcall $SLOT1, $0
    FAIL
1:  CAUGHT(TS, SLOT1)
    // NT without a busy task to go back to.
    TRY(1f)
    movw $SLOT0, tss
    pushl $0x4002
    popfl
    iretl
    FAIL
1:  CAUGHT(TS, SLOT0)

    // The T bit: a debug trap before the first instruction.
    movl $other, other_tss + 0x20
    movw $1, other_tss + 0x64
    TRY(1f)
    lcall $SLOT0, $0
1:  CAUGHT(DB, NO_ERROR)
    EXPECT_EQ(other, caught_ip)
    movl %dr6, %eax
    testl $0x8000, %eax
    CHECK(nz)
    EXPECT_EQ(4, visits)
    PASS

other:
    incl visits
    strl %eax
    EXPECT_EQ(SLOT0, %eax)
    testb $2, BUSY(0)
    CHECK(nz)
    movl %cr0, %eax
    testl $8, %eax // TS
    CHECK(nz)
    EXPECT_EQ(0x77777777, %edi)
    pushfl
    popl %eax
    cmpb $0, jumping
    jne 1f
    testl $0x4000, %eax // NT
    CHECK(nz)
    testb $2, gdt + TSS_SELECTOR + 5 // the caller stays busy
    CHECK(nz)
    cmpw $TSS_SELECTOR, other_tss // the link
    CHECK(e)
    iretl
    jmp other
1:  testl $0x4000, %eax
    CHECK(z)
    testb $2, gdt + TSS_SELECTOR + 5
    CHECK(z)
    movl $back2, tss + 0x20
    ljmp $TSS_SELECTOR, $0

    .data
visits: .long 0
jumping: .byte 0
    .balign 16
other_tss:
    .long 0
    .long 0, 0, 0, 0, 0, 0
    .long 0
    .long other, 2
    .long 0, 0, 0, 0
    .long 0x60000, 0, 0, 0x77777777
    .long DATA32, CODE32, DATA32, DATA32, DATA32, DATA32
    .long 0
    .word 0, 0x68
