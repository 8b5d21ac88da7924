#pragma once

#include <cstdint>

#include "base/strong.h"

namespace mynah {

// Number of an interrupt input as ACPI counts them (I/O APIC pins from 0).
using Gsi = Strong<struct GsiTag, uint32_t>;

// One wire into an interrupt controller. Any thread; the caller holds no device lock.
class InterruptLine {
 public:
    virtual ~InterruptLine() = default;
    virtual void set(bool level) = 0;

    // An edge: up and down.
    void pulse() {
        set(true);
        set(false);
    }
};

}  // namespace mynah
