#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace mynah::testing {

// The bytes of a fuzzer's input, taken as decisions one after the other. Zeroes once they run out.
class ByteFeed {
  public:
    ByteFeed(const uint8_t* data, size_t size) : bytes_(data, size) {}

    bool empty() const { return bytes_.empty(); }

    template <typename T>
    T take() {
        T value{};
        const size_t part = std::min(sizeof value, bytes_.size());
        if (part > 0) std::memcpy(&value, bytes_.data(), part);
        bytes_ = bytes_.subspan(part);
        return value;
    }
    std::span<const uint8_t> take_bytes(size_t size) {
        const auto part = bytes_.first(std::min(size, bytes_.size()));
        bytes_ = bytes_.subspan(part.size());
        return part;
    }

  private:
    std::span<const uint8_t> bytes_;
};

}  // namespace mynah::testing
