// Alignment checking: only at CPL 3 with CR0.AM and EFLAGS.AC.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

main32:
    movl %cr0, %eax
    orl $CR0_AM, %eax
    movl %eax, %cr0
    pushl $0x40002
    popfl
    movl scratch + 1, %eax // not at CPL 0
    TRY(1f)
    pushl $USER_DATA32
    pushl $USER_STACK
    pushl $0x43002
    pushl $USER_CODE32
    pushl $user
    iretl
user:
    movl $USER_DATA32, %eax
    movw %ax, %ds
    movl scratch + 4, %eax
    movw scratch + 2, %ax
    movb scratch + 1, %al
here:
    movl scratch + 1, %eax
1:  CAUGHT(AC, 0)
    EXPECT_EQ(here, caught_ip)
    PASS

    .data
    .balign 8
scratch: .quad 0
    .quad 0
