// The same in the 80-bit format, which only the x87 unit has.
#include "../measure.h"

#include <math.h>

#define REAL long double
#define ROOT sqrtl
#include "bodies.h"

static uint64_t work(void) { return simulate(8000); }

PROGRAM("compute", "bodies in x87", work)
