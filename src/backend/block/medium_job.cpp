#include "backend/block/medium_job.h"

#include <algorithm>

#include "base/check.h"

namespace mynah {

void MediumWork::clear() {
    operation = BlockOperation::kRead;
    durable = may_unmap = false;
    ranges.clear();
    backend = nullptr;
}

std::optional<BlockStatus> MediumJob::start(const MediumWork& work, std::span<const Slice> slices) {
    CHECK(work.any());
    work_ = &work;
    request_ = {};
    request_.operation = work.operation;
    request_.durable = work.durable;
    request_.may_unmap = work.may_unmap;
    request_.slices = slices;
    request_.completion = this;
    range_ = 0;
    within_ = 0;
    return run();
}

bool MediumJob::next_request() {
    if (range_ == work_->ranges.size()) return false;
    const MediumWork::Range& range = work_->ranges[range_];
    const BlockGeometry& geometry = work_->backend->geometry();
    uint64_t most = ~uint64_t{0};
    if (work_->operation == BlockOperation::kDiscard) most = geometry.max_discard_size;
    if (work_->operation == BlockOperation::kWriteZeroes) most = geometry.max_write_zeroes_size;
    const uint64_t block = geometry.logical_block_size;
    most = std::max(most - most % block, block);
    request_.offset = range.offset + within_;
    request_.size = std::min(range.size - within_, most);
    within_ += request_.size;
    if (within_ == range.size) {
        ++range_;
        within_ = 0;
    }
    return true;
}

std::optional<BlockStatus> MediumJob::run() {
    while (next_request()) {
        phase_.store(Phase::kSubmitting, std::memory_order_relaxed);
        work_->backend->submit(request_);
        // Whoever comes second, this or block_done(), goes on.
        Phase expected = Phase::kSubmitting;
        if (phase_.compare_exchange_strong(expected, Phase::kAway, std::memory_order_acq_rel)) {
            return std::nullopt;
        }
        if (status_ != BlockStatus::kOk) return status_;
    }
    return BlockStatus::kOk;
}

void MediumJob::block_done(BlockRequest&, BlockStatus status) {
    status_ = status;
    if (phase_.exchange(Phase::kDone, std::memory_order_acq_rel) == Phase::kSubmitting) return;
    std::optional<BlockStatus> end = status;
    if (status == BlockStatus::kOk) end = run();
    if (end) owner_.job_done(*this, *end);
}

}  // namespace mynah
