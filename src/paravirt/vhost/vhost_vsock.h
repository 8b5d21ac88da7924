#pragma once

#include <memory>

#include "backend/vhost/vhost_link.h"
#include "paravirt/vhost/vhost_device.h"

namespace mynah {

// A socket device whose connections are the host kernel's business [virtio-1.2 5.10]: the guest's
// sockets reach those of the host's own AF_VSOCK, and the other way round. The configuration and
// the queue of events are here; events there are none, as the guest's address never changes.
class VhostVsock final : public VhostDevice {
  public:
    static constexpr uint16_t kQueueSize = 256, kRings = 2;

    // `link`: with bells for kRings. Error: names the option and why.
    static Result<std::unique_ptr<VhostVsock>> open(uint64_t guest_cid,
                                                    std::unique_ptr<VhostLink> link,
                                                    GuestMemory& memory);
    ~VhostVsock() override { end(); }

    uint64_t features() const override;
    uint64_t withheld_features() const override;
    uint16_t queue_count() const override { return kRings + 1; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override;
    void write_config(uint64_t, std::span<const std::byte>) override {}

  private:
    VhostVsock(std::unique_ptr<VhostLink> link, GuestMemory& memory, uint64_t guest_cid);

    const uint64_t guest_cid_;
};

}  // namespace mynah
