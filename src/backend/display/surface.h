#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mynah {

// A part of a picture, in pixels from its upper left corner.
struct Rect {
    uint32_t x = 0, y = 0, width = 0, height = 0;

    bool operator==(const Rect&) const = default;
};

// A picture on the host: rows of pixels xxRRGGBBh from the top down, the upper byte zero.
class Surface {
  public:
    uint32_t width() const { return width_; }
    uint32_t height() const { return height_; }
    // All black afterwards.
    void resize(uint32_t width, uint32_t height) {
        width_ = width;
        height_ = height;
        pixels_.assign(size_t{width} * height, 0);
    }
    std::span<uint32_t> row(uint32_t y) {
        return std::span(pixels_).subspan(size_t{y} * width_, width_);
    }
    std::span<const uint32_t> row(uint32_t y) const {
        return std::span(pixels_).subspan(size_t{y} * width_, width_);
    }
    uint32_t at(uint32_t x, uint32_t y) const { return row(y)[x]; }

    bool operator==(const Surface&) const = default;

  private:
    uint32_t width_ = 0, height_ = 0;
    std::vector<uint32_t> pixels_;
};

}  // namespace mynah
