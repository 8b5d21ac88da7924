// A bytecode interpreter that counts primes and mixes a hash: an indirect jump an instruction.
#include "../measure.h"

enum Opcode {
    kSet,
    kAdd,
    kMultiply,
    kXor,
    kShift,
    kModulo,
    kLess,
    kJumpZero,
    kJump,
    kIncrement,
    kHalt
};

struct Step {
    uint8_t opcode, to, from;
    int8_t other;
};

enum { kLimit = 900 };

// r0: candidate, r1: divisor, r2: scratch, r3: primes, r4: hash, r5: limit, r6: square
static const struct Step steps[] = {
    {kSet, 0, 0, 2},        //  0: candidate = 2
    {kSet, 1, 0, 2},        //  1: divisor = 2
    {kMultiply, 6, 1, 1},   //  2: square = divisor * divisor
    {kLess, 2, 0, 6},       //  3: candidate < square?
    {kJumpZero, 2, 0, 6},   //  4: no: to 6
    {kJump, 0, 0, 11},      //  5: a prime
    {kModulo, 2, 0, 1},     //  6
    {kJumpZero, 2, 0, 13},  //  7: divisible
    {kIncrement, 1, 0, 0},  //  8
    {kXor, 4, 4, 1},        //  9
    {kJump, 0, 0, 2},       // 10
    {kIncrement, 3, 0, 0},  // 11
    {kAdd, 4, 4, 0},        // 12: hash += candidate
    {kShift, 4, 4, 5},      // 13: hash ^= hash << 5, then >> 3
    {kIncrement, 0, 0, 0},  // 14
    {kLess, 2, 0, 5},       // 15
    {kJumpZero, 2, 0, 18},  // 16
    {kJump, 0, 0, 1},       // 17
    {kHalt, 0, 0, 0},       // 18
};

static uint64_t run(void) {
    static const void* const labels[] = {&&set,   &&add,       &&multiply, &&exclusive,
                                         &&shift, &&modulo,    &&less,     &&jump_zero,
                                         &&jump,  &&increment, &&halt};
    uint64_t r[8] = {0, 0, 0, 0, 1, kLimit, 0, 0};
    const struct Step* step = steps;
#define NEXT() goto* labels[step->opcode]
    NEXT();
set:
    r[step->to] = (uint64_t)step->other;
    ++step;
    NEXT();
add:
    r[step->to] = r[step->from] + r[step->other];
    ++step;
    NEXT();
multiply:
    r[step->to] = r[step->from] * r[step->other];
    ++step;
    NEXT();
exclusive:
    r[step->to] = r[step->from] ^ r[step->other];
    ++step;
    NEXT();
shift:
    r[step->to] ^= r[step->from] << step->other;
    r[step->to] ^= r[step->to] >> 3;
    ++step;
    NEXT();
modulo:
    r[step->to] = (uint32_t)r[step->from] % (uint32_t)r[step->other];
    ++step;
    NEXT();
less:
    r[step->to] = r[step->from] < r[step->other];
    ++step;
    NEXT();
jump_zero:
    step = r[step->to] == 0 ? steps + step->other : step + 1;
    NEXT();
jump:
    step = steps + step->other;
    NEXT();
increment:
    ++r[step->to];
    ++step;
    NEXT();
halt:
    return r[3] << 48 ^ r[4];
#undef NEXT
}

static uint64_t work(void) {
    uint64_t sum = 0;
    for (int i = 0; i < 30; ++i) sum = sum * 31 + run();
    return sum;
}

PROGRAM("compute", "bytecode interpreter", work)
