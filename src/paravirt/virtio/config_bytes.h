#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace mynah {

// What VirtioDevice::read_config() answers from a configuration: its bytes from `offset` on, zeroes
// beyond its end [virtio-1.2 2.5].
inline void read_config_bytes(std::span<const std::byte> config, uint64_t offset,
                              std::span<std::byte> to) {
    std::fill(to.begin(), to.end(), std::byte{0});
    if (offset >= config.size()) return;
    const size_t size = std::min<size_t>(to.size(), config.size() - offset);
    std::memcpy(to.data(), config.data() + offset, size);
}

// The same of a structure.
template <typename Config>
void read_config_bytes(const Config& config, uint64_t offset, std::span<std::byte> to) {
    static_assert(std::is_trivially_copyable_v<Config>);
    read_config_bytes(std::as_bytes(std::span(&config, 1)), offset, to);
}

}  // namespace mynah
