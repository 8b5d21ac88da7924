// Segments whose limits, bases and rights matter in code that is hot.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

#define ARRAY 0x300000

main32:
    // A loop leaves its segment in round 101, at the exact instruction, with everything before done.
    SET_SLOT(0, ARRAY, 4 * 100 - 1, 0x92, 4)
    SET_SLOT(1, ARRAY + 0x1000, 4 * 60 - 1, 0x92, 4)
    movl $30, %ebp
again:
    movl $SLOT0, %eax
    movl $100, %edx
    call run_off
    movl $SLOT1, %eax
    movl $60, %edx
    call run_off
    decl %ebp
    jnz again

    // The same code with another base under it.
    movl $0x11111111, ARRAY
    movl $0x22222222, ARRAY + 0x1000
    movl $100, %ebp
2:  movl $SLOT0, %eax
    movw %ax, %es
    call load_es
    EXPECT_EQ(0x11111111, %eax)
    movl $SLOT1, %eax
    movw %ax, %es
    call load_es
    EXPECT_EQ(0x22222222, %eax)
    decl %ebp
    jnz 2b

    // Base changed in the descriptor, seen after the reload only.
    movl $SLOT0, %eax
    movw %ax, %es
    SET_SLOT(0, ARRAY + 0x1000, 4 * 100 - 1, 0x92, 4)
    call load_es
    EXPECT_EQ(0x11111111, %eax)
    movl $SLOT0, %eax
    movw %ax, %es
    call load_es
    EXPECT_EQ(0x22222222, %eax)

    // Read-only under a store that was allowed before; null; a limit inside an operand.
    SET_SLOT(2, ARRAY, 0xfff, 0x90, 4)
    SET_SLOT(3, ARRAY, 2, 0x92, 4)
    movl $50, %ebp
2:  movl $DATA32, %eax
    movw %ax, %es
    xorl %ebx, %ebx
    call store_es
    movl $SLOT2, %eax
    movw %ax, %es
    call load_es
    TRY(1f)
    call store_es
    FAIL
1:  CAUGHT(GP, 0)
    movl $SLOT3, %eax
    movw %ax, %es
    TRY(1f)
    call load_es
    FAIL
1:  CAUGHT(GP, 0)
    xorl %eax, %eax
    movw %ax, %es
    TRY(1f)
    call load_es
    FAIL
1:  CAUGHT(GP, 0)
    decl %ebp
    jnz 2b

    // Expand-down: what is above the limit is in it.
    SET_SLOT(2, ARRAY, 0xfff, 0x96, 4)
    movl $SLOT2, %eax
    movw %ax, %es
    movl $0x11, ARRAY + 0x1000
    movl $0x1000, %ebx
    call load_es_at
    EXPECT_EQ(0x11, %eax)
    TRY(1f)
    movl $0xfff, %ebx
    call load_es_at
    FAIL
1:  CAUGHT(GP, 0)

    // The code segment's limit cuts off a hot loop's branch, then a straight run.
    movl $DATA32, %eax
    movw %ax, %es
    movl $hot_end - 1, %ecx // the limit includes the last byte
    movw %cx, gdt_slots + 8
    shrl $16, %ecx
    movl $0x00409a00, gdt_slots + 12
    movw $0, gdt_slots + 10
    orb %cl, gdt_slots + 14
    movl $40, %ebp
2:  pushl $SLOT1
    pushl $hot
    TRY(1f)
    movl $20, %ecx
    lretl
1:  CAUGHT(GP, 0)
    EXPECT_EQ(hot_end, caught_ip)
    EXPECT_EQ(SLOT1, caught_cs)
    movl $CODE32, %eax
    decl %ebp
    jnz 2b

    // PUSH in a hot loop comes to the end of its stack segment, at CPL 3.
    SET_SLOT(0, 0, USER_STACK - 4 * 64 - 1, 0xf6, 4) // expand-down
    movl $20, %ebp
2:  TRY(1f)
    pushl $SLOT0 + 3
    pushl $USER_STACK
    pushl $0x3002
    pushl $USER_CODE32
    pushl $pusher
    iretl
1:  CAUGHT(SS, 0)
    EXPECT_EQ(pusher_loop, caught_ip)
    EXPECT_EQ(64, %ecx)
    EXPECT_EQ(USER_STACK - 4 * 64, caught_sp)
    decl %ebp
    jnz 2b
    PASS

// Stores through ES until that faults: %edx stores are in the segment %eax.
run_off:
    movw %ax, %es
    TRY(1f)
    xorl %ecx, %ecx
2:  movl %ecx, %es:(, %ecx, 4)
store_in_loop:
    incl %ecx
    jmp 2b
1:  CAUGHT(GP, 0)
    EXPECT_EQ(2b, caught_ip)
    cmpl %edx, %ecx
    CHECK(e)
    ret
load_es:
    movl %es:0, %eax
    ret
load_es_at:
    movl %es:(%ebx), %eax
    ret
store_es:
    movl %ebx, %es:0x100
    ret

pusher:
    xorl %ecx, %ecx
pusher_loop:
    pushl %ecx
    incl %ecx
    jmp pusher_loop

    .balign 16
hot:
    addl $1, %eax
    decl %ecx
    jnz hot
    nop
hot_end:
    nop
    nop
