#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace mynah {

constexpr uint64_t bit(unsigned position) { return uint64_t{1} << position; }

// Ones in bits 0 to count-1; count 0 to 64.
constexpr uint64_t low_mask(unsigned count) { return count >= 64 ? ~uint64_t{0} : bit(count) - 1; }

constexpr uint64_t align_down(uint64_t value, uint64_t alignment) {
    return value & ~(alignment - 1);
}
constexpr uint64_t align_up(uint64_t value, uint64_t alignment) {
    return align_down(value + alignment - 1, alignment);
}

// The low `bits` bits of value, as a signed number of 64 bits.
constexpr uint64_t sign_extend(uint64_t value, unsigned bits) {
    const unsigned shift = 64 - bits;
    return static_cast<uint64_t>(static_cast<int64_t>(value << shift) >> shift);
}

// A field of a register, bits kHigh to kLow as manuals write them.
template <std::unsigned_integral Storage, unsigned kHigh, unsigned kLow = kHigh>
struct Field {
    static_assert(kHigh >= kLow && kHigh < sizeof(Storage) * 8);
    static constexpr Storage kMask = static_cast<Storage>(low_mask(kHigh - kLow + 1) << kLow);

    static constexpr Storage get(Storage reg) {
        return static_cast<Storage>((reg & kMask) >> kLow);
    }
    static constexpr Storage with(Storage reg, Storage value) {
        return static_cast<Storage>((reg & ~kMask) | ((value << kLow) & kMask));
    }
};

// Unaligned little-endian loads and stores in host memory.
template <typename T>
T load_unaligned(const void* from) {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}
template <typename T>
void store_unaligned(void* to, const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::memcpy(to, &value, sizeof value);
}

}  // namespace mynah
