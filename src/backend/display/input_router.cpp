#include "backend/display/input_router.h"

#include <algorithm>
#include <utility>

namespace mynah {
namespace {

// The last one that listens; the first one of all if none does.
template <typename Sink>
Sink* choose(const std::vector<Sink*>& sinks) {
    for (auto at = sinks.rbegin(); at != sinks.rend(); ++at) {
        if ((*at)->listens()) return *at;
    }
    return sinks.empty() ? nullptr : sinks.front();
}

uint16_t scale(uint32_t value, uint32_t size) {
    if (size < 2) return 0;
    return static_cast<uint16_t>(uint64_t{std::min(value, size - 1)} * 65535 / (size - 1));
}

}  // namespace

void InputRouter::add(KeySink& keyboard) {
    MutexLock lock(mutex_);
    keyboards_.push_back(&keyboard);
}

void InputRouter::add(PointerSink& pointer) {
    MutexLock lock(mutex_);
    pointers_.push_back(&pointer);
}

PointerSink* InputRouter::pointer() { return choose(pointers_); }

void InputRouter::key(uint16_t code, bool pressed) {
    MutexLock lock(mutex_);
    if (code >= kKeys) return;
    if (pressed) {
        KeySink* keyboard = held_keys_[code] != nullptr ? held_keys_[code] : choose(keyboards_);
        held_keys_[code] = keyboard;
        if (keyboard != nullptr) keyboard->key(code, true);
    } else if (KeySink* keyboard = std::exchange(held_keys_[code], nullptr)) {
        keyboard->key(code, false);
    }
}

void InputRouter::point(const Place& place) {
    MutexLock lock(mutex_);
    const std::optional<Place> last = std::exchange(last_, place);
    PointerSink* const to = pointer();
    if (to == nullptr) return;
    if (to->absolute()) {
        to->move_to(scale(place.x, place.width), scale(place.y, place.height));
    } else if (last) {
        const int dx = static_cast<int>(place.x) - static_cast<int>(last->x);
        const int dy = static_cast<int>(place.y) - static_cast<int>(last->y);
        if (dx != 0 || dy != 0) to->move_by(dx, dy);
    }
}

void InputRouter::button(PointerButton button, bool pressed) {
    MutexLock lock(mutex_);
    PointerSink*& held = held_buttons_[static_cast<unsigned>(button)];
    if (pressed) {
        if (held == nullptr) held = pointer();
        if (held != nullptr) held->button(button, true);
    } else if (PointerSink* const sink = std::exchange(held, nullptr)) {
        sink->button(button, false);
    }
}

void InputRouter::wheel(int vertical, int horizontal) {
    MutexLock lock(mutex_);
    if (PointerSink* const to = pointer()) to->wheel(vertical, horizontal);
}

}  // namespace mynah
