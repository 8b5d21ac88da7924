// HLT stops the processor.
#include "long.h"
PROGRAM(EXPECT_HALT)

main64:
    hlt
    FAIL
