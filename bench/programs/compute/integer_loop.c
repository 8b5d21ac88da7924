// Dependent additions, shifts, exclusive ors and multiplications in registers.
#include "../measure.h"

static uint64_t work(void) {
    uint64_t state = 0x9e3779b97f4a7c15u, sum = 0;
    for (int i = 0; i < 1500000; ++i) sum += next_random(&state) * 0x2545f4914f6cdd1du;
    return sum;
}

PROGRAM("compute", "integer loop", work)
