#pragma once

#include <cstdint>

namespace mynah {

// A message-signalled interrupt: a write of `data` to `address` [SDM 3A 11.11].
struct MsiMessage {
    uint64_t address;
    uint32_t data;
};

// Takes messages to the local APICs. Any thread; the caller holds no device lock.
class MsiSink {
 public:
    virtual ~MsiSink() = default;
    virtual void send(MsiMessage message) = 0;
};

}  // namespace mynah
