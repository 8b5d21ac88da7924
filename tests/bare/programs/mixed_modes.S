// The same bytes at the same linear address as 16-, 32- and 64-bit code, all of it hot.
#include "long.h"
PROGRAM(EXPECT_EXIT)

#define CODE16_SELECTOR SLOT0
#define COMPAT32 CODE32

/* 48 b8 ff ff ff 7f 90 90 90 90 c3-like bytes would differ in length; these end alike. */
main64:
    SET_SLOT(0, 0, 0xfffff, 0x9a, 0x0) // 16-bit code, base 0
    movl $0xabcd, relative_target - after_displacement
    movl $200, %ebx
2:
    // 64-bit: REX.W inc of nothing: 48 ff c0 is inc %rax.
    movq $-1, %rax
    call shared
    testq %rax, %rax
    CHECK(z)
    // 32-bit: dec %eax, inc %eax.
    movl $-1, %eax
    pushq $CODE32
    pushq $in32
    lretq
    .code32
in32:
    movl $0x10, %eax
    calll shared
    cmpl $0x10, %eax
    je 1f
    FAIL
1:  ljmpl $CODE16_SELECTOR, $in16
    .code16
in16:
    movl $0x1ffff, %eax
    callw shared
    // dec %ax, inc %ax: the upper half stays.
    cmpl $0x1ffff, %eax
    je 1f
    FAIL
1:  movl $0x10000, %eax
    callw shared
    cmpl $0x10000, %eax
    je 1f
    FAIL
1:  ljmpl $CODE64, $back
    .code64
back:
    // A displacement that is relative to RIP in 64-bit code and absolute elsewhere; an immediate
    // of two or four bytes.
    call shared_modrm
    EXPECT_EQ(0x900d, %eax)
    pushq $CODE32
    pushq $modrm32
    lretq
    .code32
modrm32:
    calll shared_modrm
    cmpl $0xabcd, %eax
    je 1f
    FAIL
1:  ljmpl $CODE64, $back2
    .code64
back2:
    decl %ebx
    jnz 2b
    PASS

    .balign 64
shared:
    .byte 0x48, 0xff, 0xc0 // inc %rax, or dec and inc of %eax or %ax
    .byte 0xc3
    .balign 64
shared_modrm:
    .byte 0x8b, 0x05       // mov disp32, %eax
    .long relative_target - after_displacement
after_displacement:
    ret
    .balign 64
relative_target:
    .long 0x900d
