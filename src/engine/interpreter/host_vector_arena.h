#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"

namespace mynah::interpreter {

// Executable memory for stubs: small pieces of host code that each run one guest instruction.
//
// The memory is one file mapped twice, once writable and once executable, so that no address is
// ever both. It only grows, up to its capacity; a stub's address stays good as long as the arena.
//
// A SIMD floating-point exception (SIGFPE) inside the arena is the guest's: a process-wide handler,
// installed with the first arena, continues at `on_fault` of the arena instead, with the registers
// as they were. SIGFPE anywhere else goes to whoever handled it before.
//
// add() is called by one thread at a time (the owner's lock); code may run on any thread meanwhile.
class StubArena {
 public:
    // on_fault: code that a faulting stub continues at. Error: the host refuses the memory.
    static Result<std::unique_ptr<StubArena>> create(size_t capacity,
                                                     std::span<const uint8_t> on_fault);
    ~StubArena();
    StubArena(const StubArena&) = delete;
    StubArena& operator=(const StubArena&) = delete;

    // Copies code in; its address to call, or null if the arena is full.
    const void* add(std::span<const uint8_t> code);

    size_t used() const { return used_; }
    size_t capacity() const { return capacity_; }

 private:
    StubArena(uint8_t* writable, uint8_t* executable, size_t capacity)
        : writable_(writable), executable_(executable), capacity_(capacity) {}

    uint8_t* const writable_;
    uint8_t* const executable_;
    const size_t capacity_;
    size_t used_ = 0;
};

}  // namespace mynah::interpreter
