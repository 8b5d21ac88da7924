#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace mynah {

// Part of a device's configuration; zeroes beyond its end [virtio-1.2 2.5].
inline void read_config_bytes(std::span<const std::byte> config, uint64_t offset,
                              std::span<std::byte> to) {
    std::fill(to.begin(), to.end(), std::byte{0});
    if (offset >= config.size()) return;
    const auto part = config.subspan(offset).first(std::min(to.size(), config.size() - offset));
    std::copy(part.begin(), part.end(), to.begin());
}

}  // namespace mynah
