#pragma once

#include <cstdint>
#include <span>

#include "paravirt/virtio/ring.h"

namespace mynah {

// The device's side of a split virtqueue [virtio-1.2 2.7]: a table of descriptors, a ring of what
// is available and one of what was used.
class SplitRing final : public Ring {
  public:
    explicit SplitRing(const DmaView& memory) : Ring(memory) {}

    [[nodiscard]] bool start(const RingLayout& layout, Features features) override;
    uint16_t available() override;
    bool has_available() override { return available() > 0; }
    uint16_t arm_notification() override;
    [[nodiscard]] bool take(DescriptorChain& chain) override;
    [[nodiscard]] bool give_back_all(std::span<const virtio::UsedElement> chains) override;
    [[nodiscard]] bool retake(uint16_t head, DescriptorChain& chain) override;
    uint16_t position() const override { return next_available_; }
    void untake(uint16_t count) override {
        next_available_ = static_cast<uint16_t>(next_available_ - count);
    }

  private:
    struct Walk;
    bool walk(Walk& walk, DescriptorChain& chain);
    bool enter_indirect(Walk& walk, const virtio::Descriptor& descriptor);
    bool wants_interrupt(uint16_t old_used);

    uint16_t next_available_ = 0;  // index of the entry to take next, modulo 2^16
    uint16_t next_used_ = 0;       // index of the entry to write next
};

}  // namespace mynah
