// 16-bit call gates, conforming code, far CALL and RET between 16- and 32-bit segments, an LDT.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

main32:
    SET_GATE(0, CODE16, inner16, 0xe4, 1)  // 16 bits, one word
    SET_SLOT(1, 0, 0xfffff, 0x9e, 0xc)     // conforming code, DPL 0
    SET_SLOT(2, 0x60000, 0xf, 0x82, 0)     // an LDT of two entries
    TRY(1f)
    ENTER_USER(user)
user:
    pushw $0x4321
    lcall $SLOT0 | 3, $0
user_back:
    cmpl $USER_STACK & 0xffff, %esp // a word was popped
    CHECK(e)
    // Conforming code runs at the caller's level; its RPL shows it.
    lcall $SLOT1, $conforming
    EXPECT_EQ(SLOT1 | 3, %ebx)
    int $0x20
1:  CAUGHT(0x20, NO_ERROR)

    // Far CALL with a 16-bit operand to 16-bit code and back.
    movl %esp, %ebx
    .byte 0x66, 0x9a
    .word near16, CODE16
near16_back:
    cmpl %esp, %ebx
    CHECK(e)
    EXPECT_EQ(0x77, %ecx)

    // Segments of the LDT.
    movl $0x0000ffff, 0x60008
    movl $0x00cf9200, 0x6000c
    movl $SLOT2, %eax
    lldt %ax
    sldtl %ecx
    EXPECT_EQ(SLOT2, %ecx)
    movl $8 | 4, %eax
    movw %ax, %fs
    EXPECT_EQ(0x48414e59, %fs:0x8000)
    testb $1, 0x6000d // accessed
    CHECK(nz)
    movl $0x10 | 4, %ecx
    TRY(1f)
    movw %cx, %gs // beyond its limit
    FAIL
1:  CAUGHT(GP, 0x14)
    xorl %eax, %eax
    lldt %ax
    movl $8 | 4, %ecx
    TRY(1f)
    movw %cx, %gs
    FAIL
1:  CAUGHT(GP, 0x0c)
    movl $DATA32, %ecx
    TRY(1f)
    lldt %cx
    FAIL
1:  CAUGHT(GP, DATA32)
    TRY(1f)
    ltr %cx
    FAIL
1:  CAUGHT(GP, DATA32)
    movl $TSS_SELECTOR, %ecx
    TRY(1f)
    ltr %cx // busy
    FAIL
1:  CAUGHT(GP, TSS_SELECTOR)

    // LMSW sets PE but does not clear it; LGDT with a 16-bit operand loads 24 bits of base.
    xorl %eax, %eax
    lmsw %ax
    smsw %eax
    testb $1, %al
    CHECK(nz)
    data16 lidt wide_pointer
    sidt stored
    EXPECT_EQ(0x00345678, stored + 2)
    PASS

conforming:
    movl %cs, %ebx
    lret

    .code16
inner16:
    movl %esp, %ebp
    cmpw $user_back, %ss:(%ebp)
    jne 1f
    cmpw $USER_CODE32, %ss:2(%ebp)
    jne 1f
    cmpw $0x4321, %ss:4(%ebp)
    jne 1f
    cmpw $USER_STACK - 2 - 0x60000, %ss:6(%ebp) // SP
    jne 1f
    lretw $2
1:  FAIL
near16:
    movl $0x77, %ecx
    lretw
    .code32

    .data
wide_pointer:
    .word 0x17f
    .long 0x12345678
stored:
    .word 0
    .long 0
