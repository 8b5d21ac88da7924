#include "paravirt/virtio/gpu/gpu_format.h"

#include <cstring>

#include "base/check.h"
#include "spec/virtio/gpu.h"

namespace mynah {

using namespace virtio::gpu;

namespace {

template <typename Turn>
void each_pixel(std::span<const std::byte> from, std::span<uint32_t> to, Turn&& turn) {
    for (size_t i = 0; i < to.size(); ++i) {
        uint32_t pixel;
        std::memcpy(&pixel, from.data() + i * kPixelBytes, sizeof pixel);
        to[i] = turn(pixel);
    }
}

constexpr uint32_t kOpaque = 0xff000000;

// AABBGGRR to AARRGGBB.
constexpr uint32_t swap_red_and_blue(uint32_t pixel) {
    return (pixel & 0xff00ff00) | (pixel >> 16 & 0xff) | (pixel & 0xff) << 16;
}

}  // namespace

bool is_gpu_format(uint32_t format) {
    switch (format) {
        case kB8G8R8A8:
        case kB8G8R8X8:
        case kA8R8G8B8:
        case kX8R8G8B8:
        case kR8G8B8A8:
        case kX8B8G8R8:
        case kA8B8G8R8:
        case kR8G8B8X8:
            return true;
        default:
            return false;
    }
}

void read_gpu_pixels(uint32_t format, std::span<const std::byte> from, std::span<uint32_t> to) {
    CHECK(from.size() / kPixelBytes >= to.size());
    switch (format) {
        case kB8G8R8A8:
            return each_pixel(from, to, [](uint32_t pixel) { return pixel; });
        case kB8G8R8X8:
            return each_pixel(from, to, [](uint32_t pixel) { return pixel | kOpaque; });
        case kA8R8G8B8:
            return each_pixel(from, to, [](uint32_t pixel) { return __builtin_bswap32(pixel); });
        case kX8R8G8B8:
            return each_pixel(from, to,
                              [](uint32_t pixel) { return __builtin_bswap32(pixel) | kOpaque; });
        case kR8G8B8A8:
            return each_pixel(from, to, swap_red_and_blue);
        case kR8G8B8X8:
            return each_pixel(from, to,
                              [](uint32_t pixel) { return swap_red_and_blue(pixel) | kOpaque; });
        case kA8B8G8R8:
            return each_pixel(from, to, [](uint32_t pixel) { return pixel >> 8 | pixel << 24; });
        case kX8B8G8R8:
            return each_pixel(from, to, [](uint32_t pixel) { return pixel >> 8 | kOpaque; });
        default:
            CHECK(false);
    }
}

}  // namespace mynah
