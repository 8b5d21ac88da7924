// Real mode: INT through the vector table, what is pushed, IRET, faults without error codes.
#include "real.h"
PROGRAM(EXPECT_EXIT)

main16:
    movw $handler, 0x40 * 4
    movw $0, 0x40 * 4 + 2
    movw $undefined, UD * 4
    movw $0, UD * 4 + 2
    movw $breakpoint, BP * 4
    movw $0, BP * 4 + 2
    movw $general, GP * 4
    movw $0, GP * 4 + 2
    movw $divide, DE * 4
    movw $0, DE * 4 + 2

    sti
    pushw $0x1111
    movw %sp, %bx
    stc
    int $0x40
back:
    CHECK(c) // IRET brought the carry back
    cmpw %bx, %sp
    CHECK(e)
    cmpw $1, count
    CHECK(e)
    pushfw
    popw %ax
    testw $0x200, %ax
    CHECK(nz)

    int3
    cmpw $2, count
    CHECK(e)
    ud2
ud_at_end:
    cmpw $3, count
    CHECK(e)

    xorw %cx, %cx
    movw $1, %ax
divide_here:
    divw %cx
    cmpw $4, count
    CHECK(e)

    // A word at offset FFFFh crosses the limit.
    movw $0xffff, %bx
    movw (%bx), %ax
    cmpw $5, count
    CHECK(e)

    // INT beyond the table's limit is #GP as well.
    lidtl short_table
    int $0x40
    cmpw $6, count
    CHECK(e)
    PASS

handler:
    incw count
    movw %sp, %bp
    cmpw $back, (%bp)
    CHECK(e)
    cmpw $0, 2(%bp)
    CHECK(e)
    pushfw
    popw %ax
    testw $0x300, %ax // IF and TF are clear inside
    CHECK(z)
    testw $0x200, 4(%bp)
    CHECK(nz)
    iretw

breakpoint:
    incw count
    iretw
undefined:
    incw count
    movw %sp, %bp
    addw $2, (%bp)
    iretw
divide:
    incw count
    movw %sp, %bp
    cmpw $divide_here, (%bp) // a fault: points at the instruction
    CHECK(e)
    addw $2, (%bp)
    iretw
general:
    incw count
    movw %sp, %bp
    addw $2, (%bp)
    iretw

    .data
count: .word 0
short_table:
    .word 0x3f * 4 + 3
    .long 0
