// No vector table at all: #UD, #GP, double fault, shutdown.
#include "real.h"
PROGRAM(EXPECT_SHUTDOWN)

main16:
    lidtl nothing
    ud2
    FAIL

    .data
nothing:
    .word 0
    .long 0
