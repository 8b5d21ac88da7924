// Dependent additions, shifts, exclusive ors and multiplications in registers.
#include "measure.h"

const char* const kName = "integer loop";

uint64_t work(const char* argv0) {
    (void)argv0;
    uint64_t state = 0x9e3779b97f4a7c15u, sum = 0;
    for (int i = 0; i < 1500000; ++i) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        sum += state * 0x2545f4914f6cdd1du;
    }
    return sum;
}
