#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/block/block_backend.h"
#include "base/mutex.h"
#include "paravirt/virtio/virtio_device.h"
#include "spec/virtio/block.h"

namespace mynah {

struct VirtioBlockOptions {
    uint16_t queues = 1;  // 1 to kMaxQueues; one for each processor is best
    std::string id;       // what GET_ID answers; cut to 20 bytes
    // Whether writes may wait in a volatile cache until the guest flushes, to begin with. The guest
    // can turn this off and on (VIRTIO_BLK_F_CONFIG_WCE).
    bool writeback = true;
    VirtioRings rings = {};
};

// The block device [virtio-1.2 5.2] over a BlockBackend.
//
// Modelled: read, write, flush, discard, write zeroes, get-id, lifetime (unknown); several queues;
// volatile cache with flush, that the driver can switch to write-through; limits and topology from
// the backend. A driver that negotiates neither FLUSH nor CONFIG_WCE gets stable writes
// [virtio-1.2 5.2.6.2]. Left out: secure erase, zoned devices, and of legacy devices barriers, SCSI
// commands, geometry.
class VirtioBlock final : public VirtioDevice, private BlockCompletion {
  public:
    static constexpr uint16_t kMaxQueues = 64;
    static constexpr uint16_t kQueueSize = 256;
    static constexpr uint32_t kMaxBuffer = 1 << 20;  // size_max, in bytes: advice, not enforced
    static constexpr uint32_t kMaxSegments = 32;     // ranges in one discard or write zeroes

    // The backend must outlive the device.
    VirtioBlock(BlockBackend& backend, VirtioBlockOptions options);
    ~VirtioBlock() override;

    uint32_t device_id() const override;
    uint64_t features() const override;
    VirtioRings rings() const override { return options_.rings; }
    uint16_t queue_count() const override { return options_.queues; }
    uint16_t queue_size_max(uint16_t) const override { return kQueueSize; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override;
    void write_config(uint64_t offset, std::span<const std::byte> from) override;
    void negotiated(uint64_t features) override;
    void serve(VirtioQueue& queue) override;
    void reset() override;

  private:
    struct Request;

    void block_done(BlockRequest& request, BlockStatus status) override;
    void begin(std::unique_ptr<Request> request);
    // What is answered at once, or nothing if the request is to go to the backend.
    std::optional<uint8_t> prepare(Request& request);
    std::optional<uint8_t> prepare_transfer(Request& request);
    std::optional<uint8_t> prepare_segments(Request& request);
    uint8_t answer_id(Request& request);
    static uint8_t answer_lifetime(Request& request);
    bool next_segment(Request& request);
    bool within_disk(uint64_t sector, uint64_t bytes) const;
    bool stable_writes() const;
    void finish(std::unique_ptr<Request> request, uint8_t status);
    std::unique_ptr<Request> new_request();
    void recycle(std::unique_ptr<Request> request);

    BlockBackend& backend_;
    const BlockGeometry geometry_;
    const VirtioBlockOptions options_;
    std::atomic<uint64_t> negotiated_{0};
    std::atomic<bool> writeback_;
    Mutex pool_lock_;
    std::vector<std::unique_ptr<Request>> pool_ GUARDED_BY(pool_lock_);
};

}  // namespace mynah
