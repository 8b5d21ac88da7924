// Loading segment registers: which fault with which error code, and the accessed bit.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

#define LOAD_FAULTS(selector, reg, vector, error) \
    movl $(selector), %ecx;                       \
    TRY(1f);                                      \
    movw %cx, %reg;                               \
    FAIL;                                         \
    1: CAUGHT(vector, error)

main32:
    SET_SLOT(0, 0, 0xfffff, 0x12, 0xc) // not present
    SET_SLOT(1, 0, 0xfffff, 0x98, 0xc) // execute-only
    SET_SLOT(2, 0, 0xfffff, 0x89, 0)   // a system segment
    SET_SLOT(3, 0, 0xfffff, 0x92, 0xc) // data, not accessed

    LOAD_FAULTS(0x200, ds, GP, 0x200)       // beyond the table
    LOAD_FAULTS(0x14, es, GP, 0x14)         // no LDT
    LOAD_FAULTS(SLOT0, ds, NP, SLOT0)
    LOAD_FAULTS(SLOT0, ss, SS, SLOT0)
    LOAD_FAULTS(SLOT1, ds, GP, SLOT1)
    LOAD_FAULTS(SLOT2, ds, GP, SLOT2)
    LOAD_FAULTS(0, ss, GP, 0)
    LOAD_FAULTS(DATA32 | 3, ss, GP, DATA32) // RPL is not CPL
    LOAD_FAULTS(USER_DATA32, ss, GP, USER_DATA32 & ~3)
    LOAD_FAULTS(CODE32, ss, GP, CODE32)
    LOAD_FAULTS(DATA32 | 3, ds, GP, DATA32) // RPL above DPL

    movl $SLOT3, %ecx
    movw %cx, %gs
    testb $1, gdt_slots + 8 * 3 + 5
    CHECK(nz)
    movw %gs, %ax
    cmpw $SLOT3, %ax
    CHECK(e)
    movl $CODE32, %ecx // readable code may be loaded
    movw %cx, %gs

    // PUSH of a segment register writes two bytes with a 32-bit operand.
    movl $0xaaaaaaaa, -4(%esp)
    pushl %ds
    popl %eax
    EXPECT_EQ(0xaaaa0000 | DATA32, %eax)

    // LFS: offset and selector.
    lfs pointer, %esi
    cmpl $0x12345678, %esi
    CHECK(e)
    movw %fs, %ax
    cmpw $DATA32, %ax
    CHECK(e)

    // At CPL 3 a kernel segment is #GP with its selector.
    TRY(2f)
    ENTER_USER(user)
user:
    movl $DATA32, %ecx
    movw %cx, %ds
2:  CAUGHT(GP, DATA32)
    EXPECT_EQ(USER_CODE32, caught_cs)
    PASS

    .data
pointer:
    .long 0x12345678
    .word DATA32
