#include "backend/display/screen.h"

#include <algorithm>

namespace mynah {

void Screen::add(DisplaySink& sink) {
    MutexLock lock(mutex_);
    sinks_.push_back(&sink);
}

void Screen::remove(DisplaySink& sink) {
    MutexLock lock(mutex_);
    std::erase(sinks_, &sink);
}

void Screen::refresh_locked() {
    changed_.clear();
    source_.refresh(surface_, changed_);
    if (changed_.empty()) return;
    for (DisplaySink* sink : sinks_) sink->changed(surface_, changed_);
}

void Screen::refresh() {
    MutexLock lock(mutex_);
    refresh_locked();
}

Surface Screen::capture() {
    MutexLock lock(mutex_);
    refresh_locked();
    return surface_;
}

void Screen::look(const std::function<void(const Surface&)>& looker) {
    MutexLock lock(mutex_);
    looker(surface_);
}

}  // namespace mynah
