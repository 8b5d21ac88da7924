// Scalar double precision: additions, products, quotients and square roots that depend on another.
#include "../measure.h"

#include <math.h>

#define REAL double
#define ROOT sqrt
#include "bodies.h"

static uint64_t work(void) { return simulate(20000); }

PROGRAM("compute", "bodies in scalar double", work)
