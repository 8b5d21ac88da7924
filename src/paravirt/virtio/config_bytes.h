#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace mynah {

// What VirtioDevice::read_config() answers from a configuration structure: its bytes from `offset`
// on, zeroes beyond its end.
template <typename Config>
void read_config_bytes(const Config& config, uint64_t offset, std::span<std::byte> to) {
    static_assert(std::is_trivially_copyable_v<Config>);
    std::fill(to.begin(), to.end(), std::byte{0});
    if (offset >= sizeof config) return;
    const size_t size = std::min<size_t>(to.size(), sizeof config - offset);
    std::memcpy(to.data(), reinterpret_cast<const std::byte*>(&config) + offset, size);
}

}  // namespace mynah
