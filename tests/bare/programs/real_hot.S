// Real-mode code that is hot: the same bytes under another CS base, IP and offsets that reach the
// end of their segments, and a limit that protected mode left behind.
#include "real.h"
PROGRAM(EXPECT_EXIT)

main16:
    xorw %ax, %ax
    movw %ax, %es
    // The same code as 0:routine and as 0x80:routine - 0x800: return addresses are offsets.
    movl $100, %ebp
1:  lcall $0, $routine
    cmpw $after - 0, %ax
    je 2f
    FAIL
2:  lcall $0x80, $routine - 0x800
    cmpw $after - 0x800, %ax
    je 2f
    FAIL
2:  decl %ebp
    jnz 1b

    // Offsets end at FFFFh: a word there is refused (#GP by vector 13), a byte is not.
    movw $on_gp, 4 * 13
    movw $0, 4 * 13 + 2
    movw $0x2000, %ax
    movw %ax, %es
    movl $50, %ebp
1:  xorw %cx, %cx
    movw $0xfff0, %di
2:  movw %es:(%di), %ax
    incw %cx
    incw %di
    jnz 2b
    FAIL
refused:
    cmpw $15, %cx
    je 3f
    FAIL
3:  movw $0xffff, %di
    movb %es:(%di), %al
    decl %ebp
    jnz 1b

    // Index arithmetic wraps at 64 KiB.
    movb $0x77, %es:0x10
    movl $100, %ebp
1:  movw $0xfff0, %bx
    movw $0x20, %si
    movb %es:(%bx, %si), %al
    cmpb $0x77, %al
    je 2f
    FAIL
2:  decl %ebp
    jnz 1b

    // A stack that wraps.
    movw %ss, %dx
    movw %sp, %si
    movl $100, %ebp
1:  movw $0x3000, %ax
    movw %ax, %ss
    xorw %sp, %sp
    pushw $0x1234
    movw %sp, %di
    popw %bx
    movw %dx, %ss
    movw %si, %sp
    cmpw $0xfffe, %di
    je 2f
    FAIL
2:  cmpw $0x1234, %bx
    je 2f
    FAIL
2:  decl %ebp
    jnz 1b

    // A loop that patches itself, by an address in another segment.
    movw $0x80, %ax
    movw %ax, %es
    movl $100, %ebp
    xorl %edx, %edx
1:  movw %bp, %es:patched - 0x800 + 1
patched:
    movw $0, %cx
    cmpw %cx, %bp
    je 2f
    FAIL
2:  decl %ebp
    jnz 1b
    PASS

on_gp:
    movw $refused, %ax
    movw %sp, %bx
    movw %ax, %ss:(%bx)
    iretw

routine:
    callw after
after:
    popw %ax
    lretw
