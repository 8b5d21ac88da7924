// The C library's string functions, which choose SSE2 or AVX2 by themselves, on lines of text.
#include "../measure.h"

#include <string.h>

enum { kText = 1 << 16 };

static char text[kText + 1], other[kText + 1];

static void prepare(void) {
    uint64_t state = 3;
    for (int i = 0; i < kText; ++i) text[i] = (char)('a' + (next_random(&state) >> 30) % 23);
    uint64_t at = 0;
    while ((at += 20 + next_random(&state) % 300) < kText) text[at] = '\n';
    memcpy(other, text, sizeof text);
}

static uint64_t work(void) {
    if (text[0] == 0) prepare();
    size_t (*volatile length)(const char*) = strlen;
    int (*volatile compare)(const char*, const char*) = strcmp;
    char* (*volatile find)(const char*, int) = (char* (*)(const char*, int))strchr;
    uint64_t sum = 0;
    for (int round = 0; round < 40; ++round) {
        char* line = text;
        for (;;) {
            char* end = memchr(line, '\n', (size_t)(text + kText - line));
            if (end == NULL) break;
            *end = 0;
            other[end - text] = 0;
            sum += length(line);
            sum = sum * 31 + (uint64_t)(compare(line, other + (line - text)) == 0);
            const char* found = find(line, 'a' + round % 26);
            sum += found != NULL ? (uint64_t)(found - line) : 1;
            *end = other[end - text] = '\n';
            line = end + 1;
        }
        sum += length(text) + (uint64_t)(compare(text, other) == 0) + (find(text, 'z') == NULL);
        sum += memchr(text, 0x7f, kText) == NULL;
    }
    return sum;
}

PROGRAM("compute", "string functions of the C library", work)
