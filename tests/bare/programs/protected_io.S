// IN and OUT at CPL 3 without IOPL: the TSS's permission map, bit by bit and at its end.
#include "protected.h"
PROGRAM(EXPECT_EXIT)

#define USER_AT(label)   \
    pushl $USER_DATA32;  \
    pushl $USER_STACK;   \
    pushl $2;            \
    pushl $USER_CODE32;  \
    pushl $label;        \
    iretl
#define MAP_AT (tss + 0x68 + 32)

main32:
    TRY(1f)
    USER_AT(allowed)
allowed:
    inb $0x80, %al
    movw $0x3ff, %dx
    inl %dx, %eax
    int $0x20
1:  CAUGHT(0x20, NO_ERROR)

    movb $0x10, MAP_AT + 0x80 / 8 // port 84h
    TRY(1f)
    USER_AT(denied)
denied:
    inb $0x83, %al
    inw $0x82, %ax
denied_here:
    inb $0x84, %al
1:  CAUGHT(GP, 0)
    EXPECT_EQ(denied_here, caught_ip)
    TRY(1f)
    USER_AT(straddling)
straddling:
    inl $0x81, %eax // 81h to 84h
1:  CAUGHT(GP, 0)
    EXPECT_EQ(straddling, caught_ip)

    // The map reaches beyond the limit for high ports.
    movw $0x2080, tss + 0x66
    TRY(1f)
    USER_AT(high)
high:
    movw $0x1000, %dx
    inb %dx, %al
1:  CAUGHT(GP, 0)

    // IOPL 3 needs no map.
    TRY(1f)
    ENTER_USER(powerful)
powerful:
    movw $0x1000, %dx
    inb %dx, %al
    int $0x20
1:  CAUGHT(0x20, NO_ERROR)
    PASS
