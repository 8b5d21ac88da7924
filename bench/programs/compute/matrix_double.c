// A product of two matrices of doubles, which the compiler makes SSE2 of.
#include "../measure.h"

#define SIZE 128

static double a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];

static uint64_t work(void) {
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
    return checksum_of(c[SIZE / 3], sizeof c[0] * 4);
}

PROGRAM("compute", "matrix product, double", work)
