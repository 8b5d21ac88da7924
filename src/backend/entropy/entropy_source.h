#pragma once

#include <cstddef>
#include <span>

namespace mynah {

// Where a guest's random bytes come from.
class EntropySource {
  public:
    virtual ~EntropySource() = default;
    // Fills a part of `to` from its start and returns how many bytes; 0 only if the source fails.
    // Any thread; does not block for long.
    virtual size_t fill(std::span<std::byte> to) = 0;
};

// The host kernel's generator, getrandom(2).
class HostEntropy final : public EntropySource {
  public:
    size_t fill(std::span<std::byte> to) override;
};

}  // namespace mynah
