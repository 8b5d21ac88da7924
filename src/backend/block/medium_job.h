#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backend/block/block_backend.h"

namespace mynah {

// What a command wants of the medium: one operation on some ranges, one after the other.
struct MediumWork {
    struct Range {
        uint64_t offset = 0;  // bytes
        uint64_t size = 0;    // bytes
    };
    BlockOperation operation = BlockOperation::kRead;
    bool durable = false;
    bool may_unmap = false;
    std::vector<Range> ranges;        // kRead, kWrite, kFlush: exactly one
    BlockBackend* backend = nullptr;  // null: nothing to do

    bool any() const { return backend != nullptr; }
    void clear();
};

class MediumJob;

// Told on another thread than the one that started the job, with no lock held.
class MediumJobOwner {
  public:
    virtual ~MediumJobOwner() = default;
    virtual void job_done(MediumJob& job, BlockStatus status) = 0;
};

// Carries a MediumWork to its backend and back. However the backend completes, there is no
// recursion: work that is done within submit() is reported by start(), other work by job_done().
// Used again and again; one piece of work at a time.
class MediumJob : private BlockCompletion {
  public:
    explicit MediumJob(MediumJobOwner& owner) : owner_(owner) {}
    ~MediumJob() override = default;
    MediumJob(const MediumJob&) = delete;
    MediumJob& operator=(const MediumJob&) = delete;

    // The status, or nothing if job_done() will be called or has been called already: then the
    // job may be gone when this returns. `work` and `slices` (of kRead and kWrite; together as
    // long as the range) stay as they are until then. The caller holds no lock.
    std::optional<BlockStatus> start(const MediumWork& work, std::span<const Slice> slices);

  private:
    enum class Phase : uint8_t { kSubmitting, kAway, kDone };

    void block_done(BlockRequest& request, BlockStatus status) override;
    std::optional<BlockStatus> run();
    bool next_request();

    MediumJobOwner& owner_;
    const MediumWork* work_ = nullptr;
    BlockRequest request_;
    size_t range_ = 0;     // the next in the work
    uint64_t within_ = 0;  // bytes of it that were asked for
    BlockStatus status_ = BlockStatus::kOk;
    std::atomic<Phase> phase_{Phase::kDone};
};

}  // namespace mynah
