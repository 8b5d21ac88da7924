// A program in real mode: include this, then write main16. SS:SP is 0:7000h, DS and ES are 0.

#include "bare.h"

#define PROGRAM_CODE .code16

    .code16
real_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7000, %sp
    jmp main16
