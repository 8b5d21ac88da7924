#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace mynah {

// A device at one of the keyboard controller's two serial ports, under the controller's lock.
class Ps2Device {
  public:
    virtual ~Ps2Device() = default;
    // A byte from the system.
    virtual void receive(uint8_t byte) = 0;
    // The next byte for the system, if there is one.
    virtual bool has_byte() const = 0;
    virtual uint8_t take_byte() = 0;
};

// Bytes in the order in which they are to be sent; what does not fit is refused as a whole.
template <unsigned kSize>
class Ps2Queue {
  public:
    unsigned size() const { return count_; }
    unsigned space() const { return kSize - count_; }
    bool empty() const { return count_ == 0; }
    void clear() { count_ = 0; }
    bool push(std::span<const uint8_t> bytes) {
        if (bytes.size() > space()) return false;
        for (const uint8_t byte : bytes) bytes_[(first_ + count_++) % kSize] = byte;
        return true;
    }
    bool push(uint8_t byte) { return push(std::span(&byte, 1)); }
    uint8_t pop() {
        const uint8_t byte = bytes_[first_];
        first_ = (first_ + 1) % kSize;
        --count_;
        return byte;
    }

  private:
    std::array<uint8_t, kSize> bytes_{};
    unsigned first_ = 0, count_ = 0;
};

}  // namespace mynah
