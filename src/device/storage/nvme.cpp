#include "device/storage/nvme.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace mynah {

using namespace nvme;

namespace {

constexpr uint64_t kReadyTimeout = 20;  // 10 s

}  // namespace

Nvme::Nvme(const DmaView& memory, BlockBackend& backend, MediumJobOwner& jobs, NvmeOptions options)
    : memory_(memory),
      backend_(backend),
      jobs_(jobs),
      geometry_(backend.geometry()),
      options_(std::move(options)),
      sqs_(options_.queues + size_t{1}),
      cqs_(options_.queues + size_t{1}) {
    CHECK(options_.queues >= 1 && options_.queues <= kMaxQueues);
    CHECK(std::has_single_bit(geometry_.logical_block_size) &&
          geometry_.logical_block_size >= 512 && geometry_.logical_block_size <= kPage);
}

void Nvme::reset() {
    cc_ = 0;
    disable();
    intm_ = aqa_ = 0;
    asq_ = acq_ = 0;
}

uint64_t Nvme::read(uint64_t offset, unsigned size) const {
    const auto whole = [this](uint64_t at) -> uint64_t {
        switch (at) {
            case kCap:
                return (kMaxQueueSize - 1) | cap::kContiguousQueues |
                       kReadyTimeout << cap::kTimeoutShift | cap::kNvmCommandSet;
            case kVs & ~7u:
                return kVersion14 | uint64_t{intm_} << 32;
            case kIntmc & ~7u:
                return intm_ | uint64_t{cc_} << 32;
            case kCsts & ~7u:
                return uint64_t{csts_} << 32;
            case kAqa & ~7u:
                return uint64_t{aqa_} << 32;
            case kAsq:
                return asq_;
            case kAcq:
                return acq_;
            default:
                return 0;
        }
    };
    const uint64_t value = whole(offset & ~uint64_t{7});
    return size == 8 ? value : value >> (8 * (offset & 4)) & low_mask(32);
}

void Nvme::write(uint64_t offset, unsigned size, uint64_t value) {
    write_register(offset, static_cast<uint32_t>(value));
    if (size == 8) write_register(offset + 4, static_cast<uint32_t>(value >> 32));
}

void Nvme::write_register(uint64_t offset, uint32_t value) {
    if (offset >= kDoorbells) return ring((offset - kDoorbells) / 4, value);
    const auto half = [value](uint64_t& whole, bool high) {
        const unsigned shift = high ? 32 : 0;
        whole = (whole & ~(low_mask(32) << shift)) | uint64_t{value} << shift;
        whole &= ~(kPage - 1);
    };
    switch (offset) {
        case kIntms:
            intm_ |= value;
            return;
        case kIntmc:
            intm_ &= ~value;
            return;
        case kCc:
            write_cc(value);
            return;
        case kAqa:
            if ((cc_ & cc::kEnable) == 0) aqa_ = value & aqa::kWritable;
            return;
        case kAsq:
        case kAsq + 4:
            if ((cc_ & cc::kEnable) == 0) half(asq_, offset != kAsq);
            return;
        case kAcq:
        case kAcq + 4:
            if ((cc_ & cc::kEnable) == 0) half(acq_, offset != kAcq);
            return;
        default:
            return;
    }
}

void Nvme::write_cc(uint32_t value) {
    const uint32_t before = cc_;
    cc_ = value & cc::kWritable;
    const bool was = (before & cc::kEnable) != 0, now = (cc_ & cc::kEnable) != 0;
    if (was && !now) {
        disable();
        return;
    }
    if (!was && now) enable();
    if (cc::Shutdown::get(before) == 0 && cc::Shutdown::get(cc_) != 0) begin_shutdown();
    if (cc::Shutdown::get(cc_) == 0) csts_ &= ~csts::kShutdown;
}

// What cannot be honoured is fatal: the controller never becomes ready [NVMe 3.1.5].
void Nvme::enable() {
    if (disabling_) return;  // once what is away is back
    const uint32_t sq_size = aqa::SubmissionSize::get(aqa_) + 1;
    const uint32_t cq_size = aqa::CompletionSize::get(aqa_) + 1;
    if (sq_size < 2 || cq_size < 2 || cc::CommandSet::get(cc_) != 0 ||
        cc::PageSize::get(cc_) != 0 || cc::Arbitration::get(cc_) != 0) {
        return fatal();
    }
    sqs_[0] = {};
    sqs_[0].active = true;
    sqs_[0].base = asq_;
    sqs_[0].size = sq_size;
    cqs_[0] = {};
    cqs_[0].active = cqs_[0].interrupts = true;
    cqs_[0].base = acq_;
    cqs_[0].size = cq_size;
    csts_ |= csts::kReady;
}

void Nvme::disable() {
    // Everything that is not with the back end is forgotten at once.
    for (NvmeTask* task : std::exchange(ready_, {})) recycle(*task);
    for (auto& queue : sqs_) {
        if (queue.deletion != nullptr) recycle(*queue.deletion);
        queue = {};
    }
    for (auto& queue : cqs_) queue = {};
    for (auto& task : tasks_) task->abandoned = true;
    event_requests_.clear();
    events_.clear();
    event_mask_ = 0;
    features_ = {};
    write_cache_ = true;
    messages_ = 0;
    disabling_ = true;
    if (drained()) finish_disable();
}

void Nvme::finish_disable() {
    disabling_ = false;
    csts_ = 0;
    for (auto& task : tasks_) task->abandoned = false;
    if ((cc_ & cc::kEnable) != 0) enable();
}

// [NVMe 3.1.6]: what was written gets onto the medium before shutdown is complete.
void Nvme::begin_shutdown() {
    NvmeTask* task = new_task();
    if (task == nullptr) {
        csts_ = (csts_ & ~csts::kShutdown) | csts::kShutdownComplete;
        return;
    }
    csts_ = (csts_ & ~csts::kShutdown) | csts::kShutdownOccurring;
    task->shutdown = true;
    task->work.operation = BlockOperation::kFlush;
    task->work.backend = &backend_;
    task->work.ranges.assign(1, {0, 0});
    ready_.push_back(task);
}

void Nvme::fatal() { csts_ |= csts::kFatal; }

void Nvme::ring(uint64_t doorbell, uint32_t value) {
    if (!enabled() || (csts_ & csts::kFatal) != 0) return;
    const uint64_t index = doorbell / 2;
    const bool completion = doorbell % 2 != 0;
    if (index >= sqs_.size() || !(completion ? cqs_[index].active : sqs_[index].active)) {
        raise_event(event::kInvalidDoorbell);
    } else if (completion) {
        CompletionQueue& queue = cqs_[index];
        // The head moves over entries that are there, no further.
        const uint32_t step = (value + queue.size - queue.head) % queue.size;
        if (value >= queue.size || step > queue.used()) {
            raise_event(event::kInvalidDoorbellValue);
        } else {
            queue.head = value;
        }
    } else if (value >= sqs_[index].size) {
        raise_event(event::kInvalidDoorbellValue);
    } else {
        sqs_[index].tail = value;
    }
    process();
}

// [NVMe 7.5.1]
bool Nvme::interrupt() const {
    return std::any_of(cqs_.begin(), cqs_.end(), [this](const CompletionQueue& queue) {
        const bool masked = queue.vector < 32 && (intm_ >> queue.vector & 1) != 0;
        return queue.active && queue.interrupts && !masked && queue.head != queue.tail;
    });
}

uint64_t Nvme::take_messages() { return std::exchange(messages_, 0); }

}  // namespace mynah
