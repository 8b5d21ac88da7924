#pragma once

#include <bit>
#include <concepts>
#include <cstddef>

#include "base/bits.h"

namespace mynah {

static_assert(std::endian::native == std::endian::little);

// Numbers in image files, wherever they lie. Big-endian: qcow2, VHD; little: VHDX, VMDK, VDI.
template <std::unsigned_integral T>
constexpr T swap_bytes(T value) {
    if constexpr (sizeof(T) == 1) return value;
    if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
    if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
    if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
}

template <std::unsigned_integral T>
T load_big(const std::byte* from) {
    return swap_bytes(load_unaligned<T>(from));
}
template <std::unsigned_integral T>
void store_big(std::byte* to, T value) {
    store_unaligned(to, swap_bytes(value));
}
template <std::unsigned_integral T>
T load_little(const std::byte* from) {
    return load_unaligned<T>(from);
}
template <std::unsigned_integral T>
void store_little(std::byte* to, T value) {
    store_unaligned(to, value);
}

}  // namespace mynah
