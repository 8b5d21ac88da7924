#pragma once

// Two-operand arithmetic and logic on the host's own instructions: the result and all six flags,
// also those the manual leaves undefined, are the silicon's. `flags` is Flags::arithmetic.
//
// LAHF and SETO leave the flags in AX just as Flags keeps them. Instructions that read the carry
// get it by BT from there.

#include <cstdint>

namespace mynah::interpreter {

#define MYNAH_ALU(NAME, MNEMONIC, WRITES)                                                         \
    struct NAME {                                                                                 \
        static constexpr bool kWrites = WRITES;                                                   \
        template <typename T>                                                                     \
        static T run(T a, T b, uint16_t& flags) {                                                 \
            uint16_t ax;                                                                          \
            asm(MNEMONIC " %[b], %[a]\n\tlahf\n\tseto %%al"                                       \
                : [a] "+r"(a), "=&a"(ax)                                                          \
                : [b] "r"(b)                                                                      \
                : "cc");                                                                          \
            flags = ax;                                                                           \
            return a;                                                                             \
        }                                                                                         \
        template <typename T>                                                                     \
        static void run_locked(T* a, T b, uint16_t& flags) {                                      \
            uint16_t ax;                                                                          \
            asm volatile("lock " MNEMONIC " %[b], %[a]\n\tlahf\n\tseto %%al"                      \
                         : [a] "+m"(*a), "=&a"(ax)                                                \
                         : [b] "r"(b)                                                             \
                         : "cc", "memory");                                                       \
            flags = ax;                                                                           \
        }                                                                                         \
    }
#define MYNAH_ALU_CARRY(NAME, MNEMONIC)                                                           \
    struct NAME {                                                                                 \
        static constexpr bool kWrites = true;                                                     \
        template <typename T>                                                                     \
        static T run(T a, T b, uint16_t& flags) {                                                 \
            uint32_t ax = flags;                                                                  \
            asm("bt $8, %[ax]\n\t" MNEMONIC " %[b], %[a]\n\tlahf\n\tseto %%al"                    \
                : [a] "+&r"(a), [ax] "+&a"(ax)                                                    \
                : [b] "r"(b)                                                                      \
                : "cc");                                                                          \
            flags = static_cast<uint16_t>(ax);                                                    \
            return a;                                                                             \
        }                                                                                         \
        template <typename T>                                                                     \
        static void run_locked(T* a, T b, uint16_t& flags) {                                      \
            uint32_t ax = flags;                                                                  \
            asm volatile("bt $8, %[ax]\n\tlock " MNEMONIC " %[b], %[a]\n\tlahf\n\tseto %%al"      \
                         : [a] "+m"(*a), [ax] "+&a"(ax)                                           \
                         : [b] "r"(b)                                                             \
                         : "cc", "memory");                                                       \
            flags = static_cast<uint16_t>(ax);                                                    \
        }                                                                                         \
    }
// INC, DEC: carry is kept. NEG: sets it. NOT: no flags. Suffix: GCC cannot size a memory operand.
#define MYNAH_UNARY(NAME, MNEMONIC)                                                               \
    struct NAME {                                                                                 \
        template <typename T>                                                                     \
        static T run(T a, uint16_t& flags) {                                                      \
            uint32_t ax = flags;                                                                  \
            asm("bt $8, %[ax]\n\t" MNEMONIC " %[a]\n\tlahf\n\tseto %%al"                          \
                : [a] "+&r"(a), [ax] "+&a"(ax)                                                    \
                :                                                                                 \
                : "cc");                                                                          \
            flags = static_cast<uint16_t>(ax);                                                    \
            return a;                                                                             \
        }                                                                                         \
        template <typename T>                                                                     \
        static void run_locked(T* a, uint16_t& flags) {                                           \
            uint32_t ax = flags;                                                                  \
            if constexpr (sizeof(T) == 1) {                                                       \
                MYNAH_UNARY_LOCKED(MNEMONIC "b");                                                 \
            } else if constexpr (sizeof(T) == 2) {                                                \
                MYNAH_UNARY_LOCKED(MNEMONIC "w");                                                 \
            } else if constexpr (sizeof(T) == 4) {                                                \
                MYNAH_UNARY_LOCKED(MNEMONIC "l");                                                 \
            } else {                                                                              \
                MYNAH_UNARY_LOCKED(MNEMONIC "q");                                                 \
            }                                                                                     \
            flags = static_cast<uint16_t>(ax);                                                    \
        }                                                                                         \
    }
#define MYNAH_UNARY_LOCKED(SIZED)                                                                 \
    asm volatile("bt $8, %[ax]\n\tlock " SIZED " %[a]\n\tlahf\n\tseto %%al"                       \
                 : [a] "+m"(*a), [ax] "+&a"(ax)                                                   \
                 :                                                                                \
                 : "cc", "memory")

MYNAH_ALU(Add, "add", true);
MYNAH_ALU(Sub, "sub", true);
MYNAH_ALU(Cmp, "cmp", false);
MYNAH_ALU(And, "and", true);
MYNAH_ALU(Or, "or", true);
MYNAH_ALU(Xor, "xor", true);
MYNAH_ALU_CARRY(Adc, "adc");
MYNAH_ALU_CARRY(Sbb, "sbb");
MYNAH_UNARY(Inc, "inc");
MYNAH_UNARY(Dec, "dec");
MYNAH_UNARY(Neg, "neg");

struct Test {
    static constexpr bool kWrites = false;
    template <typename T>
    static T run(T a, T b, uint16_t& flags) {
        uint16_t ax;
        asm("test %[b], %[a]\n\tlahf\n\tseto %%al" : "=&a"(ax) : [a] "r"(a), [b] "r"(b) : "cc");
        flags = ax;
        return a;
    }
};

struct Not {
    template <typename T>
    static T run(T a, uint16_t&) {
        return static_cast<T>(~a);
    }
    template <typename T>
    static void run_locked(T* a, uint16_t&) {
        __atomic_fetch_xor(a, static_cast<T>(~T{0}), __ATOMIC_SEQ_CST);
    }
};

#undef MYNAH_ALU
#undef MYNAH_ALU_CARRY
#undef MYNAH_UNARY
#undef MYNAH_UNARY_LOCKED

}  // namespace mynah::interpreter
