// IRET: outer level, flags by privilege, refused returns and their error codes.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

#define IRET_FAULTS(ss, cs, vector, error) \
    TRY(1f);                               \
    pushl $(ss);                           \
    pushl $USER_STACK;                     \
    pushl $2;                              \
    pushl $(cs);                           \
    pushl $user;                           \
    iretl;                                 \
    FAIL;                                  \
    1: CAUGHT(vector, error)

main32:
    SET_SLOT(0, 0, 0xfffff, 0x7a, 0xc) // code DPL 3, not present
    SET_SLOT(1, 0, 0xfffff, 0x72, 0xc) // data DPL 3, not present
    SET_SLOT(2, 0, 0xff, 0xfa, 0x4)    // code DPL 3 with a small limit
    IRET_FAULTS(USER_DATA32, 0, GP, 0)
    IRET_FAULTS(USER_DATA32, 0x300, GP, 0x300)
    IRET_FAULTS(USER_DATA32, DATA32, GP, DATA32)
    IRET_FAULTS(USER_DATA32, CODE32 | 3, GP, CODE32) // DPL is not RPL
    IRET_FAULTS(USER_DATA32, SLOT0 | 3, NP, SLOT0)
    IRET_FAULTS(0, USER_CODE32, GP, 0)
    IRET_FAULTS(DATA32, USER_CODE32, GP, DATA32)
    IRET_FAULTS(USER_CODE32, USER_CODE32, GP, USER_CODE32 & ~3)
    IRET_FAULTS(SLOT1 | 3, USER_CODE32, SS, SLOT1)
    IRET_FAULTS(USER_DATA32, SLOT2 | 3, GP, 0) // beyond CS's limit
    EXPECT_EQ(CODE32, caught_cs)

    // At CPL 3 with IOPL 0 IRET changes neither IF nor IOPL.
    TRY(1f)
    pushl $USER_DATA32
    pushl $USER_STACK
    pushl $2
    pushl $USER_CODE32
    pushl $user
    iretl
user:
    pushl $0x3ad7 // all of it: IF, IOPL, DF, arithmetic
    pushl $USER_CODE32
    pushl $2f
    iretl
2:  pushfl
    popl %eax
    cmpl $0x0ad7 & ~0x200, %eax
    je 3f
    ud2
3:  int $0x20
1:  CAUGHT(0x20, NO_ERROR)

    // The data segments the outer level may not use are cleared.
    TRY(1f)
    ENTER_USER(user2)
user2:
    movl %ds, %eax
    EXPECT_EQ(0, %eax)
    int $0x20
1:  CAUGHT(0x20, NO_ERROR)
    PASS
