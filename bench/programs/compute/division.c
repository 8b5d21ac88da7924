// Divisions whose operands come from the one before, 64 and 32 bits wide, signed and unsigned.
#include "../measure.h"

static uint64_t work(void) {
    uint64_t state = 0x123456789abcdefu, sum = 0;
    for (int i = 0; i < 150000; ++i) {
        const uint64_t divisor = (next_random(&state) >> 40) + 3;
        const uint64_t quotient = (state ^ sum) / divisor, rest = (state ^ sum) % divisor;
        const uint32_t narrow = (uint32_t)(quotient | 1);
        const int32_t sign = (int32_t)rest | 1;
        sum += quotient ^ ((uint32_t)state / narrow + (uint32_t)state % narrow);
        sum ^= (uint64_t)((int32_t)(state >> 33) / sign);
    }
    return sum;
}

PROGRAM("compute", "division", work)
