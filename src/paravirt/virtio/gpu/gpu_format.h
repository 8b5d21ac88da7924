#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mynah {

// True for the formats of [virtio-1.2 5.7.6.8], all of which have four bytes a pixel.
bool is_gpu_format(uint32_t format);

// Pixels of that format as AARRGGBBh; opaque where the format knows no transparency. from: four
// bytes for each pixel of `to`.
void read_gpu_pixels(uint32_t format, std::span<const std::byte> from, std::span<uint32_t> to);

}  // namespace mynah
