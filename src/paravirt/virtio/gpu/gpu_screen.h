#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/display/damage.h"
#include "backend/display/surface.h"
#include "memory/dma_view.h"
#include "paravirt/virtio/gpu/gpu_resources.h"
#include "spec/virtio/gpu.h"

namespace mynah {

// What a scanout shows [virtio-1.2 5.7.6.8]: a part of a resource, and the cursor over it.
// Single-threaded.
class GpuScreen {
  public:
    static constexpr uint64_t kPixelsMost = uint64_t{1} << 24;

    // part: lies within the picture, and has at most kPixelsMost. The picture lies in the resource.
    void show(uint32_t resource, const GpuPicture& picture, const Rect& part);
    void hide();
    // The resource on the screen; 0: none.
    uint32_t resource() const { return resource_; }
    // A part of the resource is to be seen as it is now.
    void flush(const Rect& part);

    // A cursor of kCursorSize squared pixels AARRGGBBh, colours multiplied by their alpha already
    // as Linux' are; empty: none.
    void set_cursor(std::vector<uint32_t> image);
    void move_cursor(int32_t x, int32_t y);

    // Brings the surface up to date, see DisplaySource. memory: null if there are no resources;
    // blank: the size of a screen with nothing on it.
    void draw(GpuResources& resources, const DmaView* memory, const Rect& blank, Surface& surface,
              std::vector<Rect>& changed);

  private:
    void damage_cursor();
    void draw_row(const GpuResource* resource, const DmaView* memory, uint32_t y, uint32_t x,
                  std::span<uint32_t> to);
    void draw_cursor(uint32_t y, uint32_t x, std::span<uint32_t> to) const;

    uint32_t resource_ = 0;
    GpuPicture picture_;
    Rect part_;
    Damage damage_;  // of the screen
    std::vector<uint32_t> cursor_;
    int32_t cursor_x_ = 0, cursor_y_ = 0;
    std::vector<std::byte> bytes_;
};

}  // namespace mynah
