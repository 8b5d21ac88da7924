#pragma once

#include <memory>
#include <string>

#include "paravirt/vhost/vhost_device.h"

namespace mynah {

struct VhostUserFilesystemOptions {
    std::string path;     // of the back end's socket
    std::string tag;      // what the guest mounts: 1 to kMaxTag bytes
    uint16_t queues = 1;  // for requests
};

// A file system that another process serves, virtiofsd for one [virtio-1.2 5.11]. What a back end
// knows of the guest's open files dies with it: one that takes over answers errors for them.
class VhostUserFilesystem final : public VhostDevice {
  public:
    static constexpr uint16_t kQueueSize = 1024, kMaxQueues = 16;
    static constexpr size_t kMaxTag = 36;

    // Error: names the option, the path and why.
    static Result<std::unique_ptr<VhostUserFilesystem>> open(
        const VhostUserFilesystemOptions& options, GuestMemory& memory);
    ~VhostUserFilesystem() override { end(); }

    uint64_t features() const override { return 0; }
    uint16_t queue_count() const override { return static_cast<uint16_t>(queues_ + 1); }
    void read_config(uint64_t offset, std::span<std::byte> to) const override;
    void write_config(uint64_t, std::span<const std::byte>) override {}

  private:
    VhostUserFilesystem(std::unique_ptr<VhostLink> link, GuestMemory& memory,
                        const VhostUserFilesystemOptions& options);

    const std::string tag_;
    const uint16_t queues_;
};

}  // namespace mynah
