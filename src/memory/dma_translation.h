#pragma once

#include <cstdint>
#include <optional>

#include "memory/address.h"

namespace mynah {

// What a device wants to do to memory; kAny: it does not say, and either permission will do.
enum class DmaUse : uint8_t { kRead, kWrite, kAny };

// Stands between one device and memory: an IOMMU. Addresses that a driver hands the device mean
// what this says. Any thread; called with locks of the device held, so it calls nobody back.
class DmaTranslation {
  public:
    struct Run {
        GuestPhys start;
        uint64_t size;  // bytes that lie side by side from there on, at most those asked for
    };
    virtual ~DmaTranslation() = default;
    // Where the bytes that begin at `address` are; nothing: the device may not do that, which is
    // noted. size: not 0.
    virtual std::optional<Run> translate(GuestPhys address, uint64_t size, DmaUse use) const = 0;
};

}  // namespace mynah
