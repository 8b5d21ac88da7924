#include <algorithm>

#include "base/check.h"
#include "device/storage/nvme.h"

// From the queues to commands and back.
namespace mynah {

using namespace nvme;

namespace {

// A list that a guest made long is given back when it is done with.
constexpr size_t kManySlices = 64;

}  // namespace

NvmeTask* Nvme::new_task() {
    if (!free_.empty()) {
        NvmeTask* task = free_.back();
        free_.pop_back();
        task->abandoned = false;
        return task;
    }
    if (tasks_.size() == kMaxTasks) return nullptr;
    tasks_.push_back(std::make_unique<NvmeTask>(jobs_));
    return tasks_.back().get();
}

void Nvme::recycle(NvmeTask& task) {
    task.work.clear();
    if (task.slices.slices().size() > kManySlices) {
        task.slices = SliceList();
    } else {
        task.slices.clear();
    }
    task.shutdown = task.abandoned = false;
    free_.push_back(&task);
}

// Each turn takes a command off a queue; queues are only filled by doorbells.
void Nvme::process() {
    deliver_events();
    const auto count = static_cast<uint16_t>(sqs_.size());
    for (uint16_t idle = 0; idle < count && enabled() && (csts_ & csts::kFatal) == 0;) {
        const uint16_t sq = next_sq_;
        next_sq_ = static_cast<uint16_t>((next_sq_ + 1) % count);
        idle = fetch(sq) ? 0 : static_cast<uint16_t>(idle + 1);
    }
}

bool Nvme::fetch(uint16_t sq) {
    SubmissionQueue& queue = sqs_[sq];
    if (!queue.active || queue.deleting || queue.head == queue.tail) return false;
    CompletionQueue& completions = cqs_[queue.cq];
    if (!completions.room()) return false;
    NvmeTask* task = new_task();
    if (task == nullptr) return false;
    const uint64_t place = queue.base + queue.head * sizeof(Submission);
    const auto command = memory_.load<Submission>(GuestPhys(place));
    if (!command) {
        recycle(*task);
        fatal();
        return false;
    }
    queue.head = (queue.head + 1) % queue.size;
    ++queue.in_flight;
    ++completions.reserved;
    task->command = *command;
    task->sq = sq;
    Answer answer;
    if ((command->flags & (kFlagsFused | kFlagsSgl)) != 0) {
        answer.status = status::kInvalidField;
    } else {
        answer = sq == 0 ? execute_admin(*task) : execute_io(*task);
    }
    if (!answer.later) complete(*task, answer.status, answer.result);
    return true;
}

void Nvme::complete(NvmeTask& task, uint16_t status, uint32_t result) {
    const uint16_t sq = task.sq;
    SubmissionQueue& queue = sqs_[sq];
    --queue.in_flight;
    --cqs_[queue.cq].reserved;
    post(sq, task.command.cid, status, result);
    recycle(task);
    finish_deletion(sq);
}

void Nvme::post(uint16_t sq, uint16_t cid, uint16_t status, uint32_t result) {
    CompletionQueue& queue = cqs_[sqs_[sq].cq];
    CHECK(queue.active && queue.used() < queue.size - 1);
    Completion entry{};
    entry.result = result;
    entry.sq_head = static_cast<uint16_t>(sqs_[sq].head);
    entry.sq_id = sq;
    const uint64_t place = queue.base + queue.tail * sizeof entry;
    const auto bytes = std::as_bytes(std::span(&entry, 1)).first(offsetof(Completion, cid));
    // The phase says that the entry is there, so its dword is written last.
    const uint32_t last = cid | uint32_t{queue.phase} << 16 | uint32_t{status} << 17;
    if (!memory_.write(GuestPhys(place), bytes) ||
        !memory_.store_release(GuestPhys(place + offsetof(Completion, cid)), last)) {
        return fatal();
    }
    queue.tail = (queue.tail + 1) % queue.size;
    if (queue.tail == 0) queue.phase = !queue.phase;
    if (queue.interrupts) messages_ |= bit(queue.vector);
}

NvmeTask* Nvme::take_ready() {
    if (ready_.empty()) return nullptr;
    NvmeTask* task = ready_.front();
    ready_.pop_front();
    ++away_;
    return task;
}

void Nvme::finished(NvmeTask& task, BlockStatus status) {
    CHECK(away_ > 0);
    --away_;
    if (task.work.operation == BlockOperation::kRead) memory_.wrote(task.slices);
    if (task.abandoned) {
        recycle(task);
    } else if (task.shutdown) {
        csts_ = (csts_ & ~csts::kShutdown) | csts::kShutdownComplete;
        recycle(task);
    } else {
        complete(task, io_status(task, status), 0);
        process();
    }
    if (disabling_ && drained()) finish_disable();
}

// A deleted queue is gone once nothing of it is in flight [NVMe 5.6].
void Nvme::finish_deletion(uint16_t sq) {
    SubmissionQueue& queue = sqs_[sq];
    if (queue.deletion == nullptr || queue.in_flight > 0) return;
    NvmeTask& deletion = *queue.deletion;
    queue = {};
    complete(deletion, status::kSuccess, 0);
}

// One event of a type is told, then no more of it until its log page was read [NVMe 5.2].
void Nvme::raise_event(uint32_t event) {
    const uint32_t type = 1u << (event & 7);
    if ((event_mask_ & type) != 0) return;
    const auto same = [event](uint32_t other) { return (other & 7) == (event & 7); };
    if (std::any_of(events_.begin(), events_.end(), same)) return;
    event_mask_ |= type;
    events_.push_back(event);
}

void Nvme::deliver_events() {
    while (!events_.empty() && !event_requests_.empty() && cqs_[0].active && cqs_[0].room()) {
        post(0, event_requests_.front(), status::kSuccess, events_.front());
        event_requests_.erase(event_requests_.begin());
        events_.erase(events_.begin());
    }
}

}  // namespace mynah
