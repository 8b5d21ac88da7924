#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "backend/block/medium_job.h"
#include "memory/dma_view.h"
#include "spec/nvme/commands.h"
#include "spec/nvme/registers.h"

namespace mynah {

struct NvmeOptions {
    uint16_t queues = 8;               // I/O queue pairs, 1 to Nvme::kMaxQueues
    std::string serial;                // cut to 20 characters
    std::string model = "MYNAH NVMe";  // cut to 40 characters
    std::string firmware = "1";        // cut to 8 characters
    uint64_t eui64 = 0;                // 0: none
};

// A command from its queue to its completion.
struct NvmeTask : MediumJob {
    explicit NvmeTask(MediumJobOwner& owner) : MediumJob(owner) {}

    nvme::Submission command{};
    uint16_t sq = 0;
    bool shutdown = false;   // our own flush; there is no command
    bool abandoned = false;  // the controller was reset while it was away
    MediumWork work;
    SliceList slices;
};

// An NVM Express 1.4 controller with one namespace [NVMe]; the chip, so one thread at a time.
//
// A command is fetched only when its completion queue has room for what will come of it, so a
// completion never waits. Queues are served round robin. Work that is with the back end cannot be
// stopped: after a reset CSTS.RDY stays set until it is over.
//
// Left out: SGLs, metadata and protection, namespace management, firmware update, security,
// reservations, power states beyond the first, memory pages other than 4 KiB, queues that are not
// contiguous, the controller memory buffer, aborting (every Abort says that it was too late).
class Nvme {
  public:
    static constexpr uint16_t kMaxQueues = 63;       // I/O, beside the admin queue
    static constexpr uint32_t kMaxQueueSize = 1024;  // entries
    static constexpr unsigned kMdts = 8;             // largest transfer: pages, as power of two
    static constexpr unsigned kMaxTasks = 1024;
    static constexpr unsigned kMaxEventRequests = 4;

    // The backend must outlive the controller.
    Nvme(const DmaView& memory, BlockBackend& backend, MediumJobOwner& jobs, NvmeOptions options);

    // size 4 or 8, offset a multiple of it; beyond the registers there is nothing.
    uint64_t read(uint64_t offset, unsigned size) const;
    void write(uint64_t offset, unsigned size, uint64_t value);

    // The next task whose work is to be started; null: none.
    NvmeTask* take_ready();
    void finished(NvmeTask& task, BlockStatus status);
    bool drained() const { return away_ == 0; }
    // As after power-on, but for CSTS.RDY, which waits until drained.
    void reset();

    bool interrupt() const;    // the pin
    uint64_t take_messages();  // vectors to be signalled, by bit

  private:
    struct SubmissionQueue {
        bool active = false, deleting = false;
        uint64_t base = 0;
        uint32_t size = 0, head = 0, tail = 0;  // entries
        uint16_t cq = 0;
        uint32_t in_flight = 0;
        NvmeTask* deletion = nullptr;  // completes when nothing is in flight
    };
    struct CompletionQueue {
        bool active = false, phase = true, interrupts = false;
        uint64_t base = 0;
        uint32_t size = 0, head = 0, tail = 0;  // entries
        uint32_t reserved = 0;                  // for commands in flight
        uint16_t vector = 0;

        uint32_t used() const { return (tail + size - head) % size; }
        bool room() const { return used() + reserved < size - 1; }
    };
    // What becomes of a command that was looked at.
    struct Answer {
        uint16_t status = nvme::status::kSuccess;
        uint32_t result = 0;
        bool later = false;  // with the medium, or when something happens
    };

    // nvme.cpp
    void write_register(uint64_t offset, uint32_t value);
    void write_cc(uint32_t value);
    void enable();
    void disable();
    void finish_disable();
    void begin_shutdown();
    void fatal();
    void ring(uint64_t doorbell, uint32_t value);
    // nvme_queues.cpp
    void process();
    bool fetch(uint16_t sq);
    void complete(NvmeTask& task, uint16_t status, uint32_t result);
    void post(uint16_t sq, uint16_t cid, uint16_t status, uint32_t result);
    NvmeTask* new_task();
    void recycle(NvmeTask& task);
    void raise_event(uint32_t event);
    void deliver_events();
    void finish_deletion(uint16_t sq);
    // nvme_io.cpp
    Answer execute_io(NvmeTask& task);
    Answer transfer(NvmeTask& task, BlockOperation operation);
    Answer write_zeroes(NvmeTask& task);
    Answer dataset_management(NvmeTask& task);
    uint16_t io_status(const NvmeTask& task, BlockStatus status) const;
    bool within(uint64_t lba, uint64_t blocks) const;
    // nvme_admin.cpp
    Answer execute_admin(NvmeTask& task);
    Answer create_sq(const nvme::Submission& command);
    Answer create_cq(const nvme::Submission& command);
    Answer delete_sq(NvmeTask& task);
    Answer delete_cq(const nvme::Submission& command);
    Answer set_features(const nvme::Submission& command);
    Answer get_features(const nvme::Submission& command) const;
    Answer request_event(NvmeTask& task);
    Answer send(const nvme::Submission& command, std::span<const uint8_t> bytes, uint64_t size);
    // nvme_identify.cpp
    Answer identify(const nvme::Submission& command);
    Answer get_log_page(const nvme::Submission& command);
    std::vector<uint8_t> controller_page() const;
    std::vector<uint8_t> namespace_page() const;
    std::vector<uint8_t> descriptors_page() const;
    std::vector<uint8_t> health_page() const;
    std::vector<uint8_t> effects_page() const;

    bool enabled() const { return (csts_ & nvme::csts::kReady) != 0 && !disabling_; }
    uint64_t blocks() const { return geometry_.size / geometry_.logical_block_size; }

    const DmaView& memory_;
    BlockBackend& backend_;
    MediumJobOwner& jobs_;
    const BlockGeometry geometry_;
    const NvmeOptions options_;

    uint32_t intm_ = 0, cc_ = 0, csts_ = 0, aqa_ = 0;
    uint64_t asq_ = 0, acq_ = 0;
    bool disabling_ = false;
    std::vector<SubmissionQueue> sqs_;
    std::vector<CompletionQueue> cqs_;
    uint16_t next_sq_ = 0;
    uint64_t messages_ = 0;

    std::vector<std::unique_ptr<NvmeTask>> tasks_;
    std::vector<NvmeTask*> free_;
    std::deque<NvmeTask*> ready_;
    unsigned away_ = 0;

    // Features that the guest sets [NVMe 5.21.1]; 0 to begin with.
    std::array<uint32_t, 16> features_{};
    bool write_cache_ = true;
    std::vector<uint16_t> event_requests_;  // command identifiers
    std::vector<uint32_t> events_;          // raised and not yet delivered
    uint32_t event_mask_ = 0;               // types told and not yet looked up, by bit
    // For the health log.
    uint64_t sectors_read_ = 0, sectors_written_ = 0, reads_ = 0, writes_ = 0;
};

}  // namespace mynah
