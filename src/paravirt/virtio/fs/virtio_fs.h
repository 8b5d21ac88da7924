#pragma once

#include <string>

#include "backend/filesystem/fuse_server.h"
#include "base/executor.h"
#include "paravirt/virtio/virtio_device.h"
#include "spec/virtio/fs.h"

namespace mynah {

// The file system device [virtio-1.2 5.11] over a FuseServer of this process. A request is done on
// the thread that rang, as most are answered from the host's page cache; one that waits for the
// disk is done by the executor. Left out: the DAX window, and notifications.
class VirtioFs final : public VirtioDevice {
  public:
    static constexpr uint16_t kQueueSize = 512;  // room for 1 MiB in pages, and headers

    // tag: at most 36 bytes (CHECKed). Both references must outlive the device.
    VirtioFs(FuseServer& server, Executor& slow, const std::string& tag);

    uint32_t device_id() const override;
    uint64_t features() const override { return 0; }
    uint16_t queue_count() const override { return 2; }
    uint16_t queue_size_max(uint16_t) const override { return kQueueSize; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override;
    void write_config(uint64_t, std::span<const std::byte>) override {}
    void negotiated(uint64_t) override {}
    void serve(VirtioQueue& queue) override;
    void reset() override { server_.reset(); }

  private:
    void answer(VirtioQueue& queue, DescriptorChain& chain);

    FuseServer& server_;
    Executor& slow_;
    virtio::fs::Config config_{};
};

}  // namespace mynah
