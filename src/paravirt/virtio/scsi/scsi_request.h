#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend/block/data_phase.h"
#include "backend/block/medium_job.h"
#include "paravirt/virtio/virtio_queue.h"

namespace mynah {

class ScsiUnitSlot;

// A request of the control queue that is answered when nobody holds it any more: when the commands
// it was about have ended.
class ScsiTask {
  public:
    ScsiTask(VirtioQueue& queue, DescriptorChain chain) : queue_(queue), chain_(std::move(chain)) {}
    ~ScsiTask();
    ScsiTask(const ScsiTask&) = delete;
    ScsiTask& operator=(const ScsiTask&) = delete;

    void set_response(uint8_t response) { response_ = response; }

  private:
    VirtioQueue& queue_;
    DescriptorChain chain_;
    uint8_t response_ = 0;
};

// A command on its way.
struct ScsiRequest final : MediumJob {
    explicit ScsiRequest(MediumJobOwner& owner) : MediumJob(owner) {}

    VirtioQueue* queue = nullptr;
    DescriptorChain chain;               // its writable part is the response, without the data
    SliceList data_in;                   // its readable part is the data to be written
    std::shared_ptr<ScsiUnitSlot> unit;  // null: it is answered at once
    uint64_t id = 0;
    uint64_t data_room = 0;  // bytes of data that the driver offers to move
    uint32_t sense_size = 0;
    uint32_t descriptor_size = 0;
    std::array<uint8_t, 16> descriptor{};
    DataPhase data;
    std::vector<Slice> repeated;  // of data that is written again and again

    // --- under the slot's lock ---
    bool working = false;
    uint8_t abort_response = 0;
    std::vector<std::shared_ptr<ScsiTask>> tasks;  // wait for this to end

    std::span<const uint8_t> cdb() const { return std::span(descriptor).first(descriptor_size); }
};

}  // namespace mynah
