#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "backend/display/display_source.h"
#include "backend/display/edid.h"
#include "base/mutex.h"
#include "paravirt/virtio/gpu/gpu_resources.h"
#include "paravirt/virtio/gpu/gpu_screen.h"
#include "paravirt/virtio/virtio_device.h"
#include "spec/virtio/gpu.h"

namespace mynah {

// The GPU device [virtio-1.2 5.7] in 2D mode, with one scanout: resources in all formats, blobs in
// the guest's memory, a hardware cursor (drawn into the picture), EDID, and displays that change
// their size.
//
// Left out: 3D (VIRGL, contexts, capability sets), blobs in the host's memory, resource UUIDs.
//
// One lock over everything; the picture is drawn under it, by whoever looks.
class VirtioGpu final : public VirtioDevice, public DisplaySource {
  public:
    static constexpr uint16_t kControlEntries = 256, kCursorEntries = 64;
    static constexpr uint32_t kSideLeast = 320, kSideMost = 4094;  // as an EDID can tell

    explicit VirtioGpu(const Monitor& monitor);

    uint32_t device_id() const override;
    uint64_t features() const override;
    uint16_t queue_count() const override { return 2; }
    uint16_t queue_size_max(uint16_t queue) const override;
    void read_config(uint64_t offset, std::span<std::byte> to) const override EXCLUDES(mutex_);
    void write_config(uint64_t offset, std::span<const std::byte> from) override EXCLUDES(mutex_);
    void negotiated(uint64_t) override {}
    void serve(VirtioQueue& queue) override EXCLUDES(mutex_);
    void reset() override EXCLUDES(mutex_);
    void connect(VirtioDeviceEvents* events) override EXCLUDES(mutex_);

    // True from the first picture a driver shows to the device's next reset.
    bool shows() const override { return shows_.load(std::memory_order_acquire); }
    void refresh(Surface& surface, std::vector<Rect>& changed) override EXCLUDES(mutex_);
    bool request_size(uint32_t width, uint32_t height) override EXCLUDES(mutex_);

  private:
    // The answer to one command: at most an EDID long.
    using Answer = std::vector<std::byte>;

    uint32_t handle(VirtioQueue& queue, DescriptorChain& chain) EXCLUDES(mutex_);
    void handle_cursor(VirtioQueue& queue, DescriptorChain& chain) EXCLUDES(mutex_);
    uint32_t execute(uint32_t command, SliceList& body, const DmaView& memory, Answer& answer)
        REQUIRES(mutex_);
    // Each reads its command's fields from `body` and returns the type of the response.
    uint32_t create_2d(SliceList& body) REQUIRES(mutex_);
    uint32_t create_blob(SliceList& body) REQUIRES(mutex_);
    uint32_t unref(SliceList& body) REQUIRES(mutex_);
    uint32_t attach_backing(SliceList& body) REQUIRES(mutex_);
    uint32_t detach_backing(SliceList& body) REQUIRES(mutex_);
    uint32_t set_scanout(SliceList& body) REQUIRES(mutex_);
    uint32_t set_scanout_blob(SliceList& body) REQUIRES(mutex_);
    uint32_t show(uint32_t number, const GpuResource& resource, const GpuPicture& picture,
                  const virtio::gpu::Rectangle& part) REQUIRES(mutex_);
    uint32_t flush(SliceList& body) REQUIRES(mutex_);
    uint32_t transfer(SliceList& body, const DmaView& memory) REQUIRES(mutex_);
    uint32_t display_info(Answer& answer) const REQUIRES(mutex_);
    uint32_t edid(SliceList& body, Answer& answer) const REQUIRES(mutex_);
    std::vector<uint32_t> cursor_image(const GpuResource& resource, const DmaView& memory)
        REQUIRES(mutex_);

    mutable Mutex mutex_;
    Monitor monitor_ GUARDED_BY(mutex_);
    uint32_t events_read_ GUARDED_BY(mutex_) = 0;
    VirtioDeviceEvents* events_ GUARDED_BY(mutex_) = nullptr;
    GpuResources resources_ GUARDED_BY(mutex_);
    GpuScreen screen_ GUARDED_BY(mutex_);
    // Where blobs lie; nothing: the driver sent no command yet.
    std::optional<DmaView> memory_ GUARDED_BY(mutex_);
    std::atomic<bool> shows_{false};
};

}  // namespace mynah
