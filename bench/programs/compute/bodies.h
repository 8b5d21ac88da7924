// Bodies that attract each other, in the floating-point type REAL with square root ROOT. Included
// by one program a type.
enum { kBodies = 6 };

struct Body {
    REAL x[3], v[3], mass;
};

static void advance(struct Body* bodies, REAL step) {
    for (int i = 0; i < kBodies; ++i) {
        for (int j = i + 1; j < kBodies; ++j) {
            REAL d[3], square = (REAL)0.01;
            for (int axis = 0; axis < 3; ++axis) {
                d[axis] = bodies[i].x[axis] - bodies[j].x[axis];
                square += d[axis] * d[axis];
            }
            const REAL pull = step / (square * ROOT(square));
            for (int axis = 0; axis < 3; ++axis) {
                bodies[i].v[axis] -= d[axis] * bodies[j].mass * pull;
                bodies[j].v[axis] += d[axis] * bodies[i].mass * pull;
            }
        }
    }
    for (int i = 0; i < kBodies; ++i)
        for (int axis = 0; axis < 3; ++axis) bodies[i].x[axis] += step * bodies[i].v[axis];
}

// The exact bits of where they are, ten bytes being what the widest type has.
static uint64_t simulate(int steps) {
    struct Body bodies[kBodies];
    for (int i = 0; i < kBodies; ++i) {
        bodies[i].mass = (REAL)(i + 1) / 3;
        for (int axis = 0; axis < 3; ++axis) {
            bodies[i].x[axis] = (REAL)((i * 7 + axis * 5) % 11) - 5;
            bodies[i].v[axis] = (REAL)((i * 3 + axis) % 5 - 2) / 4;
        }
    }
    for (int i = 0; i < steps; ++i) advance(bodies, (REAL)0.001);
    uint64_t sum = 0;
    for (int i = 0; i < kBodies; ++i)
        for (int axis = 0; axis < 3; ++axis)
            sum = sum * 31 + checksum_of(&bodies[i].x[axis], sizeof(REAL) < 10 ? sizeof(REAL) : 10);
    return sum;
}
