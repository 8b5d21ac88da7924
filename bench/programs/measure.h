// What a benchmark program provides, and what measure.c does with it.
#pragma once
#include <stdint.h>

// The name in the table of results.
extern const char* const kName;

// One repetition of the same work, a few milliseconds on a native processor; returns a checksum
// that is equal every time and everywhere. `argv0` is the program's own path.
uint64_t work(const char* argv0);
