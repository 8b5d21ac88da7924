#pragma once

#include <cstdint>

namespace mynah {

// The controller behind the INTR wire, asked for its vector by the processor that takes an
// external interrupt (the INTA cycle). Any thread; the caller holds no lock.
class ExternalInterrupts {
 public:
    virtual ~ExternalInterrupts() = default;
    virtual uint8_t acknowledge() = 0;
};

}  // namespace mynah
