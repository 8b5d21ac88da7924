// Interrupt and trap gates: privilege, presence, error codes, which flags are cleared.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

main32:
    // Same level: three doublewords on the current stack.
    TRY(1f)
    movl %esp, %ebx
    int $0x21
    FAIL
1:  CAUGHT(0x21, NO_ERROR)
    leal -12(%ebx), %eax
    cmpl %eax, handler_sp
    CHECK(e)

    // From CPL 3 the frame is on the TSS's stack, with ESP and SS.
    TRY(1f)
    ENTER_USER(user1)
user1:
    int $0x21
    FAIL
1:  CAUGHT(0x21, NO_ERROR)
    EXPECT_EQ(USER_CODE32, caught_cs)
    EXPECT_EQ(USER_STACK, caught_sp)
    EXPECT_EQ(USER_DATA32, caught_ss)
    EXPECT_EQ(INNER_STACK - 20, handler_sp)
    EXPECT_EQ(0x3002, caught_flags)

    // A gate of DPL 0 is closed to INT n: error code is the vector with the IDT bit.
    TRY(1f)
    ENTER_USER(user2)
user2:
    int $0x1f
    FAIL
1:  CAUGHT(GP, 0x1f * 8 + 2)
    EXPECT_EQ(user2, caught_ip)

    movw $0x0e00, idt + 0x22 * 8 + 4 // not present
    TRY(1f)
    int $0x22
    FAIL
1:  CAUGHT(NP, 0x22 * 8 + 2)
    movw $0x8c00, idt + 0x22 * 8 + 4 // a call gate is no gate for interrupts
    TRY(1f)
    int $0x22
    FAIL
1:  CAUGHT(GP, 0x22 * 8 + 2)
    TRY(1f)
    int $0x80 // beyond the limit
    FAIL
1:  CAUGHT(GP, 0x80 * 8 + 2)
    movw $0xee00, idt + 0x22 * 8 + 4
    movw $0, idt + 0x22 * 8 + 2 // null code selector
    TRY(1f)
    int $0x22
    FAIL
1:  CAUGHT(GP, 0)
    movw $DATA32, idt + 0x22 * 8 + 2 // not code
    TRY(1f)
    int $0x22
    FAIL
1:  CAUGHT(GP, DATA32)

    // A 16-bit gate pushes words.
    movw $CODE16, idt + 0x23 * 8 + 2
    movw $narrow, idt + 0x23 * 8
    movw $0xe600, idt + 0x23 * 8 + 4
    movl $0x55555555, %ebp
    pushl $0x12345678
    movl %esp, %ebx
    int $0x23
after_narrow:
    cmpl %esp, %ebx
    CHECK(e)
    popl %eax
    EXPECT_EQ(0x12345678, %eax)
    EXPECT_EQ(0x55550001, %ebp)

    // INTO and INT3 check the gate's DPL; INT1 does not.
    movw $0xee00, idt + BP * 8 + 4
    TRY(1f)
    ENTER_USER(user3)
user3:
    int3
user3_end:
1:  CAUGHT(BP, NO_ERROR)
    EXPECT_EQ(user3_end, caught_ip)
    TRY(1f)
    ENTER_USER(user4)
user4:
    movb $0x7f, %al
    addb $1, %al
    into
1:  CAUGHT(GP, OF * 8 + 2)
    TRY(1f)
    ENTER_USER(user5)
user5:
    .byte 0xf1
user5_end:
1:  CAUGHT(DB, NO_ERROR)
    EXPECT_EQ(user5_end, caught_ip)

    // An exception's error code has EXT if its delivery fails.
    movw $0x0e00, idt + UD * 8 + 4
    TRY(1f)
    ud2
    FAIL
1:  CAUGHT(NP, UD * 8 + 2 + 1)

    // Faults push RF, INT n does not.
    movw $0x8e00, idt + UD * 8 + 4
    TRY(1f)
faulting:
    ud2
1:  CAUGHT(UD, NO_ERROR)
    testl $0x10000, caught_flags
    CHECK(nz)
    EXPECT_EQ(faulting, caught_ip)
    TRY(1f)
    int $0x21
1:  testl $0x10000, caught_flags
    CHECK(z)
    PASS

    .code16
narrow:
    movw $1, %bp
    iretw
    .code32
