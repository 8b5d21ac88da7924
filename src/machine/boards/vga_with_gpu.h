#pragma once

#include <vector>

#include "backend/display/display_source.h"

namespace mynah {

// The picture of a card that is a VGA and something better: the VGA's until the other has one to
// show, and again when it has none any more.
class VgaWithGpu final : public DisplaySource {
  public:
    VgaWithGpu(DisplaySource& vga, DisplaySource& gpu) : vga_(vga), gpu_(gpu) {}

    void refresh(Surface& surface, std::vector<Rect>& changed) override {
        DisplaySource& now = gpu_.shows() ? gpu_ : vga_;
        // Neither knows what the other drew: it finds a picture of another size, and draws all.
        if (&now != last_) surface.resize(0, 0);
        last_ = &now;
        now.refresh(surface, changed);
    }
    std::string text() override { return gpu_.shows() ? gpu_.text() : vga_.text(); }
    bool request_size(uint32_t width, uint32_t height) override {
        return gpu_.request_size(width, height);
    }

  private:
    DisplaySource& vga_;
    DisplaySource& gpu_;
    DisplaySource* last_ = nullptr;  // of the one caller of refresh()
};

}  // namespace mynah
