#pragma once

#include <functional>
#include <string>
#include <vector>

#include "backend/display/display_source.h"
#include "base/mutex.h"

namespace mynah {

// One picture that a display adapter draws and any number of sinks look at. Any thread.
class Screen {
  public:
    explicit Screen(DisplaySource& source) : source_(source) {}

    // The sink hears of all changes from now on; remove() waits for a call that is under way.
    void add(DisplaySink& sink) EXCLUDES(mutex_);
    void remove(DisplaySink& sink) EXCLUDES(mutex_);

    // Asks the source, and tells the sinks if something changed. Who watches calls it as often as
    // it wants to see.
    void refresh() EXCLUDES(mutex_);
    // The picture as it is now.
    Surface capture() EXCLUDES(mutex_);
    // See DisplaySource.
    std::string text() { return source_.text(); }
    // Asks the guest for another size, see DisplaySource.
    bool request_size(uint32_t width, uint32_t height) {
        return source_.request_size(width, height);
    }
    // The picture as of the last refresh.
    void look(const std::function<void(const Surface&)>& looker) EXCLUDES(mutex_);

  private:
    void refresh_locked() REQUIRES(mutex_);

    DisplaySource& source_;
    Mutex mutex_;
    Surface surface_ GUARDED_BY(mutex_);
    std::vector<Rect> changed_ GUARDED_BY(mutex_);
    std::vector<DisplaySink*> sinks_ GUARDED_BY(mutex_);
};

}  // namespace mynah
