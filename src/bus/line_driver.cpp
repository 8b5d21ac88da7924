#include "bus/line_driver.h"

namespace mynah {
namespace {

// Level changes that a line can be behind. More are folded in pairs: the input sees at least one
// edge of each kind and the right level in the end.
constexpr uint32_t kMostBehind = 4;

}  // namespace

void LineDriver::want(bool level) {
    if (level == wanted_) return;
    wanted_ = level;
    uint32_t toggles = toggles_.load();
    uint32_t next;
    do {
        next = toggles + 1 > kMostBehind ? toggles - 1 : toggles + 1;
    } while (!toggles_.compare_exchange_weak(toggles, next));
}

void LineDriver::flush() {
    if (toggles_.load() == 0 && !busy_.load()) return;
    MutexLock lock(mutex_);
    busy_.store(true);
    while (toggles_.load() != 0) {
        toggles_.fetch_sub(1);
        driven_ = !driven_;
        line_.set(driven_);
    }
    busy_.store(false);
}

}  // namespace mynah
