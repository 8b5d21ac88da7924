// Calls through tables of functions, the target known only at the call: virtual methods.
#include "../measure.h"

struct Shape;
struct Methods {
    uint64_t (*area)(const struct Shape*);
    uint64_t (*edge)(const struct Shape*);
};
struct Shape {
    const struct Methods* methods;
    uint32_t width, height;
};

static uint64_t box_area(const struct Shape* s) { return (uint64_t)s->width * s->height; }
static uint64_t box_edge(const struct Shape* s) { return 2ull * (s->width + s->height); }
static uint64_t triangle_area(const struct Shape* s) { return (uint64_t)s->width * s->height / 2; }
static uint64_t triangle_edge(const struct Shape* s) { return 3ull * s->width; }
static uint64_t disc_area(const struct Shape* s) {
    return (uint64_t)s->width * s->width * 355 / 113;
}
static uint64_t disc_edge(const struct Shape* s) { return s->width * 710ull / 113; }
static uint64_t ring_area(const struct Shape* s) { return disc_area(s) ^ s->height; }
static uint64_t ring_edge(const struct Shape* s) { return disc_edge(s) + s->height; }

static const struct Methods kinds[] = {{box_area, box_edge},
                                       {triangle_area, triangle_edge},
                                       {disc_area, disc_edge},
                                       {ring_area, ring_edge}};

enum { kShapes = 4096 };
static struct Shape shapes[kShapes];

static uint64_t work(void) {
    uint64_t state = 99, sum = 0;
    for (int i = 0; i < kShapes; ++i) {
        const uint64_t random = next_random(&state);
        shapes[i] = (struct Shape){&kinds[random >> 60 & 3], (uint32_t)random & 0xfff,
                                   (uint32_t)(random >> 20) & 0xfff};
    }
    for (int round = 0; round < 60; ++round)
        for (int i = 0; i < kShapes; ++i) {
            const struct Shape* shape = &shapes[i];
            sum += shape->methods->area(shape) ^ shape->methods->edge(shape);
        }
    return sum;
}

PROGRAM("compute", "indirect calls", work)
