#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "firmware/unpack.h"

namespace mynah {

// Remembers what packed kernels unpacked to, from one boot to the next.
class UnpackCache {
  public:
    // What exactly these bytes unpack to, if it is known.
    virtual std::optional<UnpackedBytes> find(std::span<const std::byte> packed) = 0;
    // Takes the answer for next time; it may as well not.
    virtual void keep(std::span<const std::byte> packed, UnpackedBytes unpacked) = 0;

  protected:
    ~UnpackCache() = default;
};

}  // namespace mynah
