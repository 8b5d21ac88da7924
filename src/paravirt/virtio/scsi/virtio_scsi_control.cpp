// The control queue of the SCSI host [virtio-1.2 5.6.6.2].

#include <cstring>

#include "paravirt/virtio/scsi/virtio_scsi.h"

namespace mynah {

using namespace virtio::scsi;

ScsiTask::~ScsiTask() {
    const auto byte = static_cast<std::byte>(response_);
    chain_.writable.fill(std::span(&byte, 1));
    queue_.wrote(chain_.writable);
    queue_.give_back(chain_.head, kTaskResponseSize);
}

void VirtioScsi::serve_control(VirtioQueue& queue) {
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    while (queue.take(batch, chain)) {
        uint32_t type = 0;
        SliceList copy = chain.readable;
        TaskRequest request{};
        if (!copy.take_front(std::as_writable_bytes(std::span(&type, 1))) ||
            chain.writable.empty()) {
            queue.reject();
            return;
        }
        if (type == kNotificationQuery || type == kNotificationSubscribe) {
            notification(queue, chain);
            continue;
        }
        if (type != kTaskManagement ||
            !chain.readable.take_front(std::as_writable_bytes(std::span(&request, 1)))) {
            auto task = std::make_shared<ScsiTask>(queue, chain);
            task->set_response(kResponseFailure);
            continue;
        }
        manage_tasks(request, std::make_shared<ScsiTask>(queue, chain));
    }
}

// No events of this kind exist, so none can be asked for.
void VirtioScsi::notification(VirtioQueue& queue, DescriptorChain& chain) {
    constexpr std::byte kAnswer[kNotificationResponseSize]{};  // no events; kResponseOk
    const uint64_t size = chain.writable.fill(kAnswer);
    queue.wrote(chain.writable);
    queue.give_back(chain.head, static_cast<uint32_t>(size));
}

void VirtioScsi::manage_tasks(const TaskRequest& request, const std::shared_ptr<ScsiTask>& task) {
    uint64_t id = 0;
    std::memcpy(&id, request.id, sizeof id);
    const auto everything = [](const ScsiRequest&) { return true; };
    const auto this_one = [id](const ScsiRequest& each) { return each.id == id; };
    const auto function = static_cast<TaskFunction>(request.function);
    task->set_response(kResponseFunctionComplete);
    if (function == TaskFunction::kNexusReset && request.lun[0] == 1) {
        const std::vector<Slot> units = units_of(request.lun[1]);
        if (units.empty()) task->set_response(kResponseBadTarget);
        for (const Slot& unit : units) {
            unit->reset();
            unit->abort(everything, kResponseReset, task);
        }
        return;
    }
    const auto address = parse_scsi_address(request.lun);
    const bool target = request.lun[0] == 1 && !units_of(request.lun[1]).empty();
    const Slot unit = address ? find(*address) : nullptr;
    if (unit == nullptr) {
        task->set_response(target ? kResponseIncorrectLun : kResponseBadTarget);
        return;
    }
    switch (function) {
        case TaskFunction::kAbortTask:
            // One that has ended meanwhile was aborted, too [SAM-5 7.2].
            unit->abort(this_one, kResponseAborted, task);
            return;
        case TaskFunction::kAbortTaskSet:
        case TaskFunction::kClearTaskSet:
            unit->abort(everything, kResponseAborted, task);
            return;
        case TaskFunction::kLogicalUnitReset:
            unit->reset();
            unit->abort(everything, kResponseReset, task);
            return;
        case TaskFunction::kQueryTask:
            if (unit->abort(this_one, 0, nullptr) != 0)
                task->set_response(kResponseFunctionSucceeded);
            return;
        case TaskFunction::kQueryTaskSet:
            if (unit->abort(everything, 0, nullptr) != 0)
                task->set_response(kResponseFunctionSucceeded);
            return;
        case TaskFunction::kClearAca:
        case TaskFunction::kNexusReset:
            break;
    }
    task->set_response(kResponseFunctionRejected);
}

}  // namespace mynah
