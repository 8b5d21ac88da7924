// The double fault's gate is absent: shutdown.
#include "long.h"
PROGRAM(EXPECT_SHUTDOWN)

main64:
    movw $0x0e00, idt + DF * 16 + 4
    movw $0x0e00, idt + PF * 16 + 4
    movl TEST_ADDRESS(0), %eax
    FAIL
