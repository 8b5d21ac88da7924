// Code that is modified while other processors call it: constants in place, whole instructions
// behind a breakpoint, by the host's DMA; and code that each processor writes for itself, all in
// one page.
#include "guest.h"

enum { kFunctions = 12, kStride = 0x150 };

static struct {
    volatile uint32_t lock;
    volatile uint32_t version;  // every processor is known to see this one
} functions[kFunctions];

static uint64_t function(uint32_t number) {
    return PATCHED_CODE + ((uint64_t)number * kStride & ~0xfull);
}

void write_function(uint64_t at, uint32_t version) {
    volatile uint8_t* code = (volatile uint8_t*)at;
    code[0] = 0x0f, code[1] = 0x1f, code[2] = 0x00;  // nop
    code[3] = 0xb8;
    *(volatile uint32_t*)(at + FUNCTION_CONSTANT) = constant_of(version);
    code[8] = 0xc3;
}

void call_function(uint64_t at, uint32_t at_least) {
    uint64_t value;
    __asm__ volatile("call *%1" : "=a"(value) : "r"(at) : "memory", "cc");
    EXPECT((uint32_t)value == constant_of((uint32_t)value), at, value);
    EXPECT((int16_t)((uint16_t)value - (uint16_t)at_least) >= 0, value, at_least);
}

void set_up_patching(void) {
    for (uint32_t i = 0; i < kFunctions; ++i) write_function(function(i), 0);
    write_function(DMA_CODE, 0);
}

void patch_code(void) {
    const uint32_t number = random_below(kFunctions);
    if (!try_lock(&functions[number].lock)) return;
    const uint64_t at = function(number);
    const uint32_t version = functions[number].version + 1;
    if (random_below(2) == 0) {
        *(volatile uint32_t*)(at + FUNCTION_CONSTANT) = constant_of(version);
    } else {
        // As Linux does it: a breakpoint, then all but the first byte, then that.
        *(volatile uint8_t*)(at + 3) = 0xcc;
        interrupt_all(0);
        uint32_t constant = constant_of(version);
        uint64_t to = at + FUNCTION_CONSTANT, from = (uint64_t)&constant, size = 4;
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size)::"memory");
        interrupt_all(0);
        *(volatile uint8_t*)(at + 3) = 0xb8;
    }
    interrupt_all(0);
    functions[number].version = version;
    unlock(&functions[number].lock);
}

void call_code(void) {
    for (uint32_t i = 0; i < 20; ++i) {
        const uint32_t number = random_below(kFunctions);
        const uint32_t version = functions[number].version;
        barrier();
        call_function(function(number), version);
    }
    const uint32_t version = parameters.dma_version;
    __asm__ volatile("movq %0, %%cr2" ::"r"(0ull) : "memory");  // serialises
    call_function(DMA_CODE, version);
}

void run_private_code(void) {
    static const uint8_t kOpcodes[] = {0x05, 0x2d, 0x35, 0x25, 0x0d};  // add sub xor and or
    uint8_t* const start = (uint8_t*)PRIVATE_CODE + self()->number * 0x100;
    uint8_t* code = start;
    uint32_t value = random_below(~0u);
    *code++ = 0xb8;
    __builtin_memcpy(code, &value, 4);
    code += 4;
    for (uint32_t i = random_below(30); i > 0; --i) {
        const uint32_t operation = random_below(5), constant = random_below(~0u);
        *code++ = kOpcodes[operation];
        __builtin_memcpy(code, &constant, 4);
        code += 4;
        switch (operation) {
            case 0: value += constant; break;
            case 1: value -= constant; break;
            case 2: value ^= constant; break;
            case 3: value &= constant; break;
            default: value |= constant; break;
        }
    }
    *code = 0xc3;
    for (uint32_t i = 0; i < 3; ++i) {
        uint64_t result;
        __asm__ volatile("call *%1" : "=a"(result) : "r"(start) : "memory", "cc");
        EXPECT((uint32_t)result == value, result, value);
    }
}
