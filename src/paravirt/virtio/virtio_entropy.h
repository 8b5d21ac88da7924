#pragma once

#include <cstdint>

#include "backend/entropy/entropy_source.h"
#include "paravirt/virtio/virtio_device.h"

namespace mynah {

// The entropy device [virtio-1.2 5.4]: one queue of buffers that come back filled with random
// bytes. No feature bits and no configuration. A buffer is filled up to kMaxFill bytes;
// the driver is told how many.
class VirtioEntropy final : public VirtioDevice {
  public:
    static constexpr uint16_t kQueueSize = 64;
    static constexpr uint64_t kMaxFill = 65536;  // a processor does the work: keep it short

    // The source must outlive the device.
    explicit VirtioEntropy(EntropySource& source) : source_(source) {}

    uint32_t device_id() const override;
    uint64_t features() const override { return 0; }
    uint16_t queue_count() const override { return 1; }
    uint16_t queue_size_max(uint16_t) const override { return kQueueSize; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override;
    void write_config(uint64_t, std::span<const std::byte>) override {}
    void negotiated(uint64_t) override {}
    void serve(VirtioQueue& queue) override;
    void reset() override {}

  private:
    uint32_t fill(const SliceList& buffers);

    EntropySource& source_;
};

}  // namespace mynah
