#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "bus/io_handler.h"

namespace mynah {

// A place where a write does nothing but wake a device (a doorbell). Whoever wrote need not wait
// until that is done: where an engine can, it takes the write without leaving the guest, and
// another thread makes it here.
struct Bell {
    uint64_t offset;                // in its handler
    unsigned size = 0;              // of the write in bytes; 0: any, and the value does not count
    std::optional<uint32_t> value;  // the only one that rings it; only with a size
};

// Told of the bells in an address space. Any thread, no lock held.
class BellListener {
  public:
    enum class Space : uint8_t { kPorts, kMemory };

    virtual ~BellListener() = default;
    // The handler answers at `start`. None of its bells is placed.
    virtual void bells_placed(Space space, uint64_t start, IoHandler& handler,
                              std::span<const Bell> bells) = 0;
    // They are not there any more. What had been rung is heard before this returns.
    virtual void bells_withdrawn(IoHandler& handler) = 0;
    // Likewise, and the handler is about to go: nothing calls it afterwards.
    virtual void bells_forgotten(IoHandler& handler) = 0;
};

}  // namespace mynah
