// clang-format off
// RSM to a state that no processor can be in, virtual-8086 mode in long mode: shutdown.
#include "long.h"
PROGRAM(EXPECT_SHUTDOWN)

#define SMBASE 0x30000

main64:
    movl $handler, %esi
    movl $SMBASE + 0x8000, %edi
    movl $handler_end - handler, %ecx
    rep movsb
    movb $1, %al
    outb %al, $SMI_PORT
    nop
    FAIL

    .data
    .balign 16
    .code16
handler:
    cs; orl $0x20000, 0xff70
    rsm
handler_end:
