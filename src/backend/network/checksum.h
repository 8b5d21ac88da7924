#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mynah {

// The one's complement sum of [RFC 1071], built up over pieces of any length.
class InternetSum {
  public:
    void add(std::span<const std::byte> bytes);
    void add16(uint16_t value) { sum_ += value; }
    // The sum as it stands in a header that is to be completed later: not complemented.
    uint16_t folded() const;
    // The checksum field's value.
    uint16_t checksum() const { return static_cast<uint16_t>(~folded()); }

  private:
    uint64_t sum_ = 0;  // of big-endian words; cannot overflow in 2^48 words
    bool odd_ = false;  // so many bytes were added
};

inline uint16_t internet_checksum(std::span<const std::byte> bytes) {
    InternetSum sum;
    sum.add(bytes);
    return sum.checksum();
}

}  // namespace mynah
