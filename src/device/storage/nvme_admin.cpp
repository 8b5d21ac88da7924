#include <algorithm>

#include "device/storage/nvme.h"
#include "device/storage/nvme_memory.h"

// The admin command set [NVMe 5].
namespace mynah {

using namespace nvme;

namespace {

constexpr uint32_t kEntrySizeSq = 6, kEntrySizeCq = 4;  // CC.IOSQES, CC.IOCQES: powers of two

}  // namespace

Nvme::Answer Nvme::execute_admin(NvmeTask& task) {
    const Submission& command = task.command;
    switch (command.opcode) {
        case admin::kDeleteSq:
            return delete_sq(task);
        case admin::kCreateSq:
            return create_sq(command);
        case admin::kGetLogPage:
            return get_log_page(command);
        case admin::kDeleteCq:
            return delete_cq(command);
        case admin::kCreateCq:
            return create_cq(command);
        case admin::kIdentify:
            return identify(command);
        case admin::kAbort:
            return {.result = 1};  // not aborted: it is on its way
        case admin::kSetFeatures:
            return set_features(command);
        case admin::kGetFeatures:
            return get_features(command);
        case admin::kAsyncEventRequest:
            return request_event(task);
        default:
            return {.status = status::kInvalidOpcode};
    }
}

// [NVMe 5.3]
Nvme::Answer Nvme::create_cq(const Submission& command) {
    const uint16_t id = static_cast<uint16_t>(command.cdw10);
    const uint32_t size = (command.cdw10 >> 16) + 1;
    const bool contiguous = (command.cdw11 & 1) != 0, interrupts = (command.cdw11 & 2) != 0;
    const uint16_t vector = static_cast<uint16_t>(command.cdw11 >> 16);
    if (id == 0 || id >= cqs_.size() || cqs_[id].active) return {.status = status::kInvalidQueueId};
    if (size < 2 || size > kMaxQueueSize) return {.status = status::kInvalidQueueSize};
    if (!contiguous || cc::CompletionSize::get(cc_) != kEntrySizeCq) {
        return {.status = status::kInvalidField};
    }
    if (command.prp1 % kPage != 0) return {.status = status::kInvalidPrpOffset};
    if (vector > options_.queues) return {.status = status::kInvalidVector};
    CompletionQueue queue;
    queue.active = true;
    queue.interrupts = interrupts;
    queue.base = command.prp1;
    queue.size = size;
    queue.vector = vector;
    cqs_[id] = queue;
    return {};
}

// [NVMe 5.4]
Nvme::Answer Nvme::create_sq(const Submission& command) {
    const uint16_t id = static_cast<uint16_t>(command.cdw10);
    const uint32_t size = (command.cdw10 >> 16) + 1;
    const bool contiguous = (command.cdw11 & 1) != 0;
    const uint16_t cq = static_cast<uint16_t>(command.cdw11 >> 16);
    if (id == 0 || id >= sqs_.size() || sqs_[id].active) return {.status = status::kInvalidQueueId};
    if (cq == 0 || cq >= cqs_.size() || !cqs_[cq].active) return {.status = status::kCqInvalid};
    if (size < 2 || size > kMaxQueueSize) return {.status = status::kInvalidQueueSize};
    if (!contiguous || cc::SubmissionSize::get(cc_) != kEntrySizeSq) {
        return {.status = status::kInvalidField};
    }
    if (command.prp1 % kPage != 0) return {.status = status::kInvalidPrpOffset};
    SubmissionQueue queue;
    queue.active = true;
    queue.base = command.prp1;
    queue.size = size;
    queue.cq = cq;
    sqs_[id] = queue;
    return {};
}

Nvme::Answer Nvme::delete_sq(NvmeTask& task) {
    const uint16_t id = static_cast<uint16_t>(task.command.cdw10);
    if (id == 0 || id >= sqs_.size() || !sqs_[id].active || sqs_[id].deleting) {
        return {.status = status::kInvalidQueueId};
    }
    if (sqs_[id].in_flight == 0) {
        sqs_[id] = {};
        return {};
    }
    sqs_[id].deleting = true;
    sqs_[id].deletion = &task;
    return {.later = true};
}

Nvme::Answer Nvme::delete_cq(const Submission& command) {
    const uint16_t id = static_cast<uint16_t>(command.cdw10);
    if (id == 0 || id >= cqs_.size() || !cqs_[id].active) {
        return {.status = status::kInvalidQueueId};
    }
    const bool in_use = std::any_of(sqs_.begin(), sqs_.end(), [id](const SubmissionQueue& queue) {
        return queue.active && queue.cq == id;
    });
    if (in_use) return {.status = status::kInvalidQueueDeletion};
    cqs_[id] = {};
    return {};
}

// [NVMe 5.21]
Nvme::Answer Nvme::set_features(const Submission& command) {
    const uint8_t id = static_cast<uint8_t>(command.cdw10);
    const bool save = (command.cdw10 >> 31) != 0;
    if (save) return {.status = status::kNotSaveable};
    switch (id) {
        case feature::kPower:
            return {.status =
                        (command.cdw11 & 0x1f) == 0 ? status::kSuccess : status::kInvalidField};
        case feature::kWriteCache:
            write_cache_ = (command.cdw11 & 1) != 0;
            return {};
        case feature::kQueues: {
            const uint32_t sqs = command.cdw11 & 0xffff, cqs = command.cdw11 >> 16;
            if (sqs == 0xffff || cqs == 0xffff) return {.status = status::kInvalidField};
            return get_features(command);
        }
        case feature::kArbitration:
        case feature::kTemperature:
        case feature::kErrorRecovery:
        case feature::kCoalescing:
        case feature::kAtomicity:
        case feature::kAsyncEvents:
            features_[id] = command.cdw11;
            return {};
        case feature::kVector:
            if ((command.cdw11 & 0xffff) > options_.queues) {
                return {.status = status::kInvalidField};
            }
            return {};
        default:
            return {.status = status::kInvalidField};
    }
}

// Current values, or those to begin with; capabilities: changeable, not saveable [NVMe 5.9].
Nvme::Answer Nvme::get_features(const Submission& command) const {
    const uint8_t id = static_cast<uint8_t>(command.cdw10);
    const bool get = command.opcode == admin::kGetFeatures;
    const unsigned select = get ? command.cdw10 >> 8 & 7 : 0;
    constexpr unsigned kDefault = 1, kSaved = 2, kCapabilities = 3;
    if (select > kCapabilities) return {.status = status::kInvalidField};
    if (select == kCapabilities) {
        constexpr uint32_t kChangeable = 4;
        return {.result = id == feature::kPower ? 0 : kChangeable};
    }
    const bool initial = select == kDefault || select == kSaved;
    switch (id) {
        case feature::kPower:
            return {};
        case feature::kWriteCache:
            return {.result = initial || write_cache_ ? 1u : 0u};
        case feature::kQueues: {
            const uint32_t most = options_.queues - 1u;
            return {.result = most | most << 16};
        }
        case feature::kVector:
            if ((command.cdw11 & 0xffff) > options_.queues) {
                return {.status = status::kInvalidField};
            }
            return {.result = command.cdw11 & 0xffff};
        case feature::kArbitration:
        case feature::kTemperature:
        case feature::kErrorRecovery:
        case feature::kCoalescing:
        case feature::kAtomicity:
        case feature::kAsyncEvents:
            return {.result = initial ? 0 : features_[id]};
        default:
            return {.status = status::kInvalidField};
    }
}

// The request waits for an event; it holds no place in the completion queue meanwhile.
Nvme::Answer Nvme::request_event(NvmeTask& task) {
    if (event_requests_.size() == kMaxEventRequests) {
        return {.status = status::kAsyncLimitExceeded};
    }
    event_requests_.push_back(task.command.cid);
    --sqs_[0].in_flight;
    --cqs_[0].reserved;
    recycle(task);
    deliver_events();
    return {.later = true};
}

// At most `size` bytes to where the command wants them.
Nvme::Answer Nvme::send(const Submission& command, std::span<const uint8_t> bytes, uint64_t size) {
    SliceList to;
    const auto part = bytes.first(std::min<uint64_t>(bytes.size(), size));
    const uint16_t status = gather_prps(memory_, command.prp1, command.prp2, part.size(), to, DmaUse::kWrite);
    if (status != status::kSuccess) return {.status = status};
    to.fill(std::as_bytes(part));
    memory_.wrote(to);
    return {};
}

}  // namespace mynah
