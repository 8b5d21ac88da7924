// A product of two matrices of doubles, which the compiler makes SSE2 of.
#include "measure.h"

#include <string.h>

#define SIZE 128

const char* const kName = "double-precision matrix product";

static double a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];

uint64_t work(const char* argv0) {
    (void)argv0;
    for (int i = 0; i < SIZE; ++i) {
        for (int j = 0; j < SIZE; ++j) {
            a[i][j] = (double)(i * 3 + j) / 7.0;
            b[i][j] = (double)(i - 2 * j) / 5.0;
            c[i][j] = 0;
        }
    }
    for (int i = 0; i < SIZE; ++i) {
        for (int k = 0; k < SIZE; ++k) {
            const double factor = a[i][k];
            for (int j = 0; j < SIZE; ++j) c[i][j] += factor * b[k][j];
        }
    }
    // Bits, not values: every processor has to round alike.
    uint64_t sum = 0;
    for (int i = 0; i < SIZE; ++i) {
        for (int j = 0; j < SIZE; ++j) {
            uint64_t bits;
            memcpy(&bits, &c[i][j], sizeof bits);
            sum = sum * 31 + bits;
        }
    }
    return sum;
}
