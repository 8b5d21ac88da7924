#pragma once

#include <cstdint>

namespace mynah {

// Something that answers reads and writes in a range of ports or of guest-physical addresses.
// `offset` counts from the start of the range; size is 1, 2, 4 or 8 bytes (ports: 1, 2 or 4), and
// an access never reaches beyond the range. Called on vCPU threads, several at once.
class IoHandler {
 public:
    virtual ~IoHandler() = default;
    // The value in the low size bytes; the rest is ignored.
    virtual uint64_t read(uint64_t offset, unsigned size) = 0;
    virtual void write(uint64_t offset, unsigned size, uint64_t value) = 0;
};

}  // namespace mynah
