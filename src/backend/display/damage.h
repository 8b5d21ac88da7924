#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/display/surface.h"

namespace mynah {

// Which parts of a picture somebody has not seen yet, in tiles of 32 x 32 pixels: as much memory
// however many parts there are.
class Damage {
  public:
    static constexpr uint32_t kTile = 32;

    // All of it is unseen if the size differs from before.
    void resize(uint32_t width, uint32_t height);
    void add(const Rect& rect);
    void add_all();
    void add(const Damage& other);
    bool empty() const { return count_ == 0; }
    void clear();
    uint32_t width() const { return width_; }
    uint32_t height() const { return height_; }

    // Rectangles that cover the tiles, within the picture, none over another.
    std::vector<Rect> rects() const;

  private:
    uint32_t width_ = 0, height_ = 0, columns_ = 0, rows_ = 0;
    std::vector<bool> tiles_;
    size_t count_ = 0;  // tiles that are set
};

}  // namespace mynah
