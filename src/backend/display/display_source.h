#pragma once

#include <string>
#include <vector>

#include "backend/display/surface.h"

namespace mynah {

// What has a picture to show: a display adapter. Nothing is drawn unless somebody asks.
class DisplaySource {
  public:
    virtual ~DisplaySource() = default;
    // Brings `surface` up to date and appends what changed. It is the same surface at every call,
    // touched by nobody else; when the picture's size differs it is resized and all of it changed.
    // One call at a time, from any thread.
    virtual void refresh(Surface& surface, std::vector<Rect>& changed) = 0;
    // What is written on the screen, lines, if it shows characters; else what it shows instead. Any
    // thread.
    virtual std::string text() { return "graphics\n"; }
    // False: it has no picture of its own, so another may be shown instead. Any thread.
    virtual bool shows() const { return true; }
    // A viewer would like another size; the guest is told, and draws such a picture when it wants
    // to. False: there is nobody to tell. Any thread.
    virtual bool request_size(uint32_t /*width*/, uint32_t /*height*/) { return false; }
};

// Who is told of what changed: a server for viewers. On the thread that refreshed.
class DisplaySink {
  public:
    virtual ~DisplaySink() = default;
    // The surface may have another size than before. It must not be kept.
    virtual void changed(const Surface& surface, std::span<const Rect> rects) = 0;
};

}  // namespace mynah
