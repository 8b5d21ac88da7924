#include "paravirt/virtio/scsi/scsi_unit_slot.h"

#include <utility>

#include "spec/scsi/commands.h"

namespace mynah {

// The host gets sense data with the response, and they are over then [SAM-5 5.13].
scsi::Sense ScsiUnitSlot::told(scsi::Sense sense) {
    if (sense != scsi::kSenseNone) unit_->sense_told();
    return sense;
}

bool ScsiUnitSlot::enter(ScsiRequest& request, scsi::Sense& sense) {
    MutexLock lock(mutex_);
    if (closed_) return false;
    requests_.insert(&request);
    sense = told(unit_->execute(request.cdb(), request.data));
    request.working = request.data.work.any();
    if (request.working) ++working_;
    return true;
}

scsi::Sense ScsiUnitSlot::received(ScsiRequest& request) {
    MutexLock lock(mutex_);
    const scsi::Sense sense = told(unit_->received(request.cdb(), request.data));
    if (sense != scsi::kSenseNone) return sense;
    request.working = request.data.work.any();
    if (request.working) ++working_;
    return sense;
}

scsi::Sense ScsiUnitSlot::finish(ScsiRequest& request, BlockStatus status) {
    MutexLock lock(mutex_);
    return told(unit_->finish(request.data, status));
}

uint8_t ScsiUnitSlot::abort_response(const ScsiRequest& request) const {
    MutexLock lock(mutex_);
    return request.abort_response;
}

void ScsiUnitSlot::leave(ScsiRequest& request, std::vector<std::shared_ptr<ScsiTask>>& waiting) {
    MutexLock lock(mutex_);
    requests_.erase(&request);
    if (std::exchange(request.working, false)) --working_;
    waiting = std::exchange(request.tasks, {});
    request.abort_response = 0;
    const uint8_t opcode = request.descriptor[0];
    if (leaving_ && (opcode == scsi::kSynchronizeCache10 || opcode == scsi::kSynchronizeCache16))
        synchronized_ = true;
    changed_.notify_all();
}

size_t ScsiUnitSlot::abort(const std::function<bool(const ScsiRequest&)>& which, uint8_t response,
                           const std::shared_ptr<ScsiTask>& task) {
    MutexLock lock(mutex_);
    size_t count = 0;
    for (ScsiRequest* request : requests_) {
        if (!which(*request)) continue;
        ++count;
        if (task == nullptr) continue;
        request->abort_response = response;
        request->tasks.push_back(task);
    }
    return count;
}

void ScsiUnitSlot::reset() {
    MutexLock lock(mutex_);
    unit_->reset();
}

void ScsiUnitSlot::with_unit(const std::function<void(ScsiUnit&)>& act) {
    MutexLock lock(mutex_);
    act(*unit_);
}

void ScsiUnitSlot::wait_for_work() {
    mutex_.lock();
    while (working_ != 0) changed_.wait(mutex_);
    mutex_.unlock();
}

void ScsiUnitSlot::wait_for_farewell(std::chrono::milliseconds longest) {
    const auto until = std::chrono::steady_clock::now() + longest;
    mutex_.lock();
    leaving_ = true;
    while (!synchronized_ || !requests_.empty()) {
        if (changed_.wait_until(mutex_, until) == std::cv_status::timeout) break;
    }
    mutex_.unlock();
}

void ScsiUnitSlot::close() {
    mutex_.lock();
    closed_ = true;
    while (!requests_.empty()) changed_.wait(mutex_);
    mutex_.unlock();
}

}  // namespace mynah
