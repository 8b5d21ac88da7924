#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "backend/block/medium_job.h"
#include "base/mutex.h"
#include "paravirt/virtio/scsi/scsi_address.h"
#include "paravirt/virtio/scsi/scsi_request.h"
#include "paravirt/virtio/scsi/scsi_unit_slot.h"
#include "paravirt/virtio/virtio_device.h"
#include "scsi/scsi_unit.h"
#include "spec/virtio/scsi.h"

namespace mynah {

struct VirtioScsiOptions {
    uint16_t queues = 1;  // of requests, 1 to kMaxQueues; one for each processor is best
    VirtioRings rings = {};
};

// The SCSI host device [virtio-1.2 5.6]: logical units behind it, which come and go while a driver
// runs. What a command means is the units' business (src/scsi); this carries commands, data and
// sense data, and does task management.
//
// A command is carried out on the thread that rang, in any order with others; ordered and
// head-of-queue tasks are taken as simple ones. What a backend has cannot be taken back from it, so
// a task management function is answered when the commands it aborted have ended. Left out: data in
// both directions (INOUT), protection information, asynchronous notification (none is offered).
class VirtioScsi final : public VirtioDevice, private MediumJobOwner {
  public:
    static constexpr uint16_t kMaxQueues = 64;
    static constexpr uint16_t kQueueSize = 256;
    // The driver's choice of sizes is taken up to these; 252 bytes is the longest sense data
    // [SPC-4 4.5.1], 260 the longest descriptor block.
    static constexpr uint32_t kMaxSenseSize = 252, kMaxCdbSize = 260;

    explicit VirtioScsi(VirtioScsiOptions options);
    // Waits until no command is on its way.
    ~VirtioScsi() override;

    uint32_t device_id() const override;
    uint64_t features() const override;
    VirtioRings rings() const override { return options_.rings; }
    uint16_t queue_count() const override;
    uint16_t queue_size_max(uint16_t) const override { return kQueueSize; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override;
    void write_config(uint64_t offset, std::span<const std::byte> from) override;
    void negotiated(uint64_t features) override;
    void serve(VirtioQueue& queue) override;
    void reset() override;
    void connect(VirtioDeviceEvents* events) override;

    // --- the operator's side; any thread ---
    // A unit is there from now on; the driver is told. False: there is one at this address.
    [[nodiscard]] bool add_unit(ScsiAddress address, std::unique_ptr<ScsiUnit> unit);
    // Takes a unit away, with the driver's knowledge but without its leave: it may write what its
    // cache holds, for so long. When this returns nothing uses the unit's backend. False: there
    // is none.
    [[nodiscard]] bool remove_unit(ScsiAddress address, std::chrono::milliseconds grace);
    // Does something to the unit while no command runs into it. There must be one.
    void with_unit(ScsiAddress address, const std::function<void(ScsiUnit&)>& act);
    // Waits until nothing that was begun at this unit is with its backend any more.
    void wait_for_work(ScsiAddress address);
    // What the unit would tell by this attention, for drivers that do not ask.
    void parameters_changed(ScsiAddress address, scsi::Sense attention);

  private:
    using Slot = std::shared_ptr<ScsiUnitSlot>;

    bool has(uint64_t feature) const {
        return (negotiated_.load(std::memory_order_relaxed) & feature) != 0;
    }
    Slot find(ScsiAddress address) const EXCLUDES(units_mutex_);
    std::vector<Slot> units_of(uint8_t target) const EXCLUDES(units_mutex_);
    std::vector<uint64_t> luns_of(uint8_t target) const EXCLUDES(units_mutex_);

    // virtio_scsi_commands.cpp
    void serve_commands(VirtioQueue& queue);
    void begin(std::unique_ptr<ScsiRequest> request);
    bool parse(ScsiRequest& request, virtio::scsi::CommandHeader& header);
    void answer_for_target(std::unique_ptr<ScsiRequest> request, ScsiAddress address);
    void move_data(std::unique_ptr<ScsiRequest> request);
    void take_parameters(std::unique_ptr<ScsiRequest> request);
    void start_work(std::unique_ptr<ScsiRequest> request);
    void job_done(MediumJob& job, BlockStatus status) override;
    void work_done(std::unique_ptr<ScsiRequest> request, BlockStatus status);
    struct Outcome {
        uint8_t response = virtio::scsi::kResponseOk;
        scsi::Sense sense = scsi::kSenseNone;
        uint64_t moved = 0;  // bytes of data
    };
    void end(std::unique_ptr<ScsiRequest> request, const Outcome& outcome);
    std::unique_ptr<ScsiRequest> new_request() EXCLUDES(pool_lock_);
    void recycle(std::unique_ptr<ScsiRequest> request) EXCLUDES(pool_lock_);

    // virtio_scsi_control.cpp
    void serve_control(VirtioQueue& queue);
    void notification(VirtioQueue& queue, DescriptorChain& chain);
    void manage_tasks(const virtio::scsi::TaskRequest& request,
                      const std::shared_ptr<ScsiTask>& task);

    // False: no driver could be told.
    bool send_event(uint64_t feature, uint32_t event, ScsiAddress address, uint32_t reason)
        EXCLUDES(event_mutex_);
    bool put_event(const virtio::scsi::Event& event) REQUIRES(event_mutex_);

    const VirtioScsiOptions options_;
    std::atomic<uint64_t> negotiated_{0};
    std::atomic<uint32_t> sense_size_{virtio::scsi::kDefaultSenseSize};
    std::atomic<uint32_t> cdb_size_{virtio::scsi::kDefaultCdbSize};

    mutable Mutex units_mutex_;
    std::map<ScsiAddress, Slot> units_ GUARDED_BY(units_mutex_);

    Mutex event_mutex_;
    VirtioQueue* event_queue_ GUARDED_BY(event_mutex_) = nullptr;  // of the running driver
    bool events_missed_ GUARDED_BY(event_mutex_) = false;

    Mutex pool_lock_;
    std::condition_variable_any all_back_;
    std::vector<std::unique_ptr<ScsiRequest>> pool_ GUARDED_BY(pool_lock_);
    size_t out_ GUARDED_BY(pool_lock_) = 0;  // requests that are not in the pool
};

}  // namespace mynah
