#include "backend/display/damage.h"

#include <algorithm>

namespace mynah {

void Damage::resize(uint32_t width, uint32_t height) {
    if (width == width_ && height == height_) return;
    width_ = width;
    height_ = height;
    columns_ = (width + kTile - 1) / kTile;
    rows_ = (height + kTile - 1) / kTile;
    tiles_.assign(size_t{columns_} * rows_, true);
    count_ = tiles_.size();
}

void Damage::add(const Rect& rect) {
    const uint64_t right = std::min<uint64_t>(uint64_t{rect.x} + rect.width, width_);
    const uint64_t bottom = std::min<uint64_t>(uint64_t{rect.y} + rect.height, height_);
    if (rect.x >= right || rect.y >= bottom) return;
    for (uint32_t row = rect.y / kTile; row <= (bottom - 1) / kTile; ++row) {
        for (uint32_t column = rect.x / kTile; column <= (right - 1) / kTile; ++column) {
            std::vector<bool>::reference tile = tiles_[size_t{row} * columns_ + column];
            if (!tile) ++count_;
            tile = true;
        }
    }
}

void Damage::add_all() {
    std::fill(tiles_.begin(), tiles_.end(), true);
    count_ = tiles_.size();
}

void Damage::add(const Damage& other) {
    resize(other.width_, other.height_);
    for (size_t i = 0; i < tiles_.size(); ++i) {
        if (other.tiles_[i] && !tiles_[i]) {
            tiles_[i] = true;
            ++count_;
        }
    }
}

void Damage::clear() {
    std::fill(tiles_.begin(), tiles_.end(), false);
    count_ = 0;
}

// Runs of tiles in a row; one of the row above that is just as wide is made taller.
std::vector<Rect> Damage::rects() const {
    std::vector<Rect> rects;
    size_t above = 0;  // where the previous row's begin
    for (uint32_t row = 0; row < rows_; ++row) {
        const size_t begin = rects.size();
        const uint32_t y = row * kTile, height = std::min(kTile, height_ - y);
        for (uint32_t column = 0; column < columns_; ++column) {
            if (!tiles_[size_t{row} * columns_ + column]) continue;
            const uint32_t first = column;
            while (column + 1 < columns_ && tiles_[size_t{row} * columns_ + column + 1]) ++column;
            const uint32_t x = first * kTile;
            rects.push_back({x, y, std::min((column + 1) * kTile, width_) - x, height});
        }
        // The same runs as above: one taller rectangle each.
        const size_t count = rects.size() - begin;
        bool same = count > 0 && begin - above == count;
        for (size_t i = 0; same && i < count; ++i) {
            const Rect &up = rects[above + i], &here = rects[begin + i];
            same = up.x == here.x && up.width == here.width && up.y + up.height == here.y;
        }
        if (same) {
            for (size_t i = 0; i < count; ++i) rects[above + i].height += height;
            rects.resize(begin);
        } else {
            above = begin;
        }
    }
    return rects;
}

}  // namespace mynah
