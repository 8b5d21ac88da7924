#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "cpu/exception.h"

namespace mynah {

// The last of what a processor did, kept by engines that see it, for whoever asks why it shut down.
// Written by the processor's thread; read when it does not run.
struct EventTrail {
    // An exception or interrupt whose handler was to be called.
    struct Event {
        uint64_t rip = 0;      // of the instruction that raised it, or would have been next
        uint64_t linear = 0;   // the same as a linear address
        uint64_t piece = 0;    // how many pieces had been entered
        uint64_t address = 0;  // #PF: what it could not reach
        uint32_t error_code = 0;
        uint8_t vector = 0;
        bool has_error_code = false;
        bool external = false;  // an interrupt or NMI
        bool delivered = false;  // false: calling its handler failed
    };
    // A straight piece of code that was entered.
    struct Piece {
        uint64_t linear = 0;
        uint8_t code_bits = 0;  // 16, 32, 64
        bool linked = false;    // others may have run behind it which are not here
    };
    template <typename What, size_t kCount>
    struct Last {
        std::array<What, kCount> all{};
        uint64_t count = 0;  // ever

        What& next() { return all[count++ % kCount]; }
        size_t size() const { return count < kCount ? static_cast<size_t>(count) : kCount; }
        // The oldest one first.
        const What& operator[](size_t i) const { return all[(count - size() + i) % kCount]; }
        What& newest() { return all[(count - 1) % kCount]; }
    };
    Last<Event, 16> events;
    Last<Piece, 16> pieces;

    void note(const Exception& exception, uint64_t rip, uint64_t linear) {
        events.next() = {.rip = rip,
                         .linear = linear,
                         .piece = pieces.count,
                         .address = exception.vector == x86::Vector::kPf ? exception.address : 0,
                         .error_code = exception.error_code,
                         .vector = static_cast<uint8_t>(exception.vector),
                         .has_error_code = exception.has_error_code};
    }
};

}  // namespace mynah
