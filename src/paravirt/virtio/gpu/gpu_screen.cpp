#include "paravirt/virtio/gpu/gpu_screen.h"

#include <algorithm>
#include <optional>

namespace mynah {

using virtio::gpu::kCursorSize;

namespace {

// What two rectangles share, in the coordinates of the second's corner.
std::optional<Rect> within(const Rect& rect, const Rect& frame) {
    const uint64_t left = std::max(rect.x, frame.x), top = std::max(rect.y, frame.y);
    const uint64_t right = std::min(uint64_t{rect.x} + rect.width, uint64_t{frame.x} + frame.width);
    const uint64_t bottom =
        std::min(uint64_t{rect.y} + rect.height, uint64_t{frame.y} + frame.height);
    if (left >= right || top >= bottom) return std::nullopt;
    return Rect{static_cast<uint32_t>(left - frame.x), static_cast<uint32_t>(top - frame.y),
                static_cast<uint32_t>(right - left), static_cast<uint32_t>(bottom - top)};
}

// One colour of `over`, whose alpha is `alpha`, over that of `under`.
uint32_t blend(uint32_t over, uint32_t under, uint32_t alpha, unsigned shift) {
    const uint32_t rest = (under >> shift & 0xff) * (255 - alpha) / 255;
    return std::min<uint32_t>((over >> shift & 0xff) + rest, 255) << shift;
}

}  // namespace

void GpuScreen::show(uint32_t resource, const GpuPicture& picture, const Rect& part) {
    resource_ = resource;
    picture_ = picture;
    part_ = part;
    damage_.resize(part.width, part.height);
    damage_.add_all();
}

void GpuScreen::hide() {
    resource_ = 0;
    damage_.add_all();
}

void GpuScreen::flush(const Rect& part) {
    if (const auto seen = within(part, part_)) damage_.add(*seen);
}

void GpuScreen::damage_cursor() {
    if (cursor_.empty()) return;
    // Places may be negative, and anything.
    const int64_t left = std::max(cursor_x_, 0), top = std::max(cursor_y_, 0);
    const int64_t right = int64_t{cursor_x_} + kCursorSize,
                  bottom = int64_t{cursor_y_} + kCursorSize;
    const Rect screen{0, 0, damage_.width(), damage_.height()};
    if (right <= left || bottom <= top) return;
    const Rect covered{static_cast<uint32_t>(left), static_cast<uint32_t>(top),
                       static_cast<uint32_t>(right - left), static_cast<uint32_t>(bottom - top)};
    if (const auto seen = within(covered, screen)) damage_.add(*seen);
}

void GpuScreen::set_cursor(std::vector<uint32_t> image) {
    damage_cursor();
    cursor_ = std::move(image);
    damage_cursor();
}

void GpuScreen::move_cursor(int32_t x, int32_t y) {
    damage_cursor();
    cursor_x_ = x;
    cursor_y_ = y;
    damage_cursor();
}

void GpuScreen::draw_cursor(uint32_t y, uint32_t x, std::span<uint32_t> to) const {
    const int64_t line = int64_t{y} - cursor_y_;
    if (cursor_.empty() || line < 0 || line >= kCursorSize) return;
    const int64_t begin = std::max<int64_t>(x, cursor_x_);
    const int64_t end = std::min<int64_t>(int64_t{x} + static_cast<int64_t>(to.size()),
                                          int64_t{cursor_x_} + kCursorSize);
    for (int64_t at = begin; at < end; ++at) {
        const uint32_t over = cursor_[static_cast<size_t>(line * kCursorSize + (at - cursor_x_))];
        uint32_t& under = to[static_cast<size_t>(at - x)];
        const uint32_t alpha = over >> 24;
        under = blend(over, under, alpha, 0) | blend(over, under, alpha, 8) |
                blend(over, under, alpha, 16);
    }
}

void GpuScreen::draw_row(const GpuResource* resource, const DmaView* memory, uint32_t y, uint32_t x,
                         std::span<uint32_t> to) {
    if (resource == nullptr) {
        std::ranges::fill(to, 0);
        return;
    }
    read_gpu_row(*resource, picture_, *memory, part_.x + x, part_.y + y, bytes_, to);
    for (uint32_t& pixel : to) pixel &= 0xffffff;
    draw_cursor(y, x, to);
}

void GpuScreen::draw(GpuResources& resources, const DmaView* memory, const Rect& blank,
                     Surface& surface, std::vector<Rect>& changed) {
    const GpuResource* const resource = resource_ == 0 ? nullptr : resources.find(resource_);
    const Rect& size = resource == nullptr ? blank : part_;
    damage_.resize(size.width, size.height);
    if (surface.width() != size.width || surface.height() != size.height) {
        surface.resize(size.width, size.height);
        damage_.add_all();
    }
    for (const Rect& rect : damage_.rects()) {
        for (uint32_t y = rect.y; y < rect.y + rect.height; ++y)
            draw_row(resource, memory, y, rect.x, surface.row(y).subspan(rect.x, rect.width));
        changed.push_back(rect);
    }
    damage_.clear();
}

}  // namespace mynah
