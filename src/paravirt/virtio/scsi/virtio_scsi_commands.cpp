// Commands on their way through the SCSI host: from the ring to a unit, its backend, and back.

#include <algorithm>
#include <cstring>

#include "paravirt/virtio/scsi/virtio_scsi.h"
#include "scsi/target_commands.h"
#include "spec/scsi/commands.h"

namespace mynah {

using namespace virtio::scsi;

void VirtioScsi::serve_commands(VirtioQueue& queue) {
    VirtioQueue::Batch batch = queue.open_batch();
    while (batch.left != 0) {
        std::unique_ptr<ScsiRequest> request = new_request();
        if (!queue.take(batch, request->chain)) return recycle(std::move(request));
        request->queue = &queue;
        begin(std::move(request));
    }
}

// Framing is the driver's choice [virtio-1.2 2.7.4]: header and response are so many bytes at the
// beginning of the two parts, the data all that follows.
bool VirtioScsi::parse(ScsiRequest& request, CommandHeader& header) {
    SliceList& readable = request.chain.readable;
    SliceList& writable = request.chain.writable;
    request.sense_size = sense_size_.load(std::memory_order_relaxed);
    const uint32_t cdb_size = cdb_size_.load(std::memory_order_relaxed);
    const uint64_t response = sizeof(CommandResponse) + request.sense_size;
    std::array<uint8_t, kMaxCdbSize> cdb;
    if (writable.size() < response ||
        !readable.take_front(std::as_writable_bytes(std::span(&header, 1))) ||
        !readable.take_front(std::as_writable_bytes(std::span(cdb).first(cdb_size))))
        return false;
    if (!writable.take_back(writable.size() - response, request.data_in)) return false;
    request.descriptor_size = std::min<uint32_t>(cdb_size, 16);
    std::copy_n(cdb.begin(), request.descriptor_size, request.descriptor.begin());
    std::memcpy(&request.id, header.id, sizeof request.id);
    request.data_room = readable.size() + request.data_in.size();
    return true;
}

void VirtioScsi::begin(std::unique_ptr<ScsiRequest> request) {
    CommandHeader header;
    if (!parse(*request, header)) {
        // There is nowhere to put an answer, or nothing to answer.
        VirtioQueue& queue = *request->queue;
        recycle(std::move(request));
        return queue.reject();
    }
    if (!request->data_in.empty() && !request->chain.readable.empty())
        return end(std::move(request), {.response = kResponseFailure});
    if (header.lun[0] != 1) return end(std::move(request), {.response = kResponseBadTarget});
    const auto address = parse_scsi_address(header.lun);
    // The list is the target's, whichever of its units is asked.
    if (address && request->descriptor[0] != scsi::kReportLuns) request->unit = find(*address);
    scsi::Sense sense;
    if (request->unit == nullptr || !request->unit->enter(*request, sense)) {
        request->unit = nullptr;
        return answer_for_target(std::move(request),
                                 address.value_or(ScsiAddress{header.lun[1], 1}));
    }
    if (sense != scsi::kSenseNone) return end(std::move(request), {.sense = sense});
    move_data(std::move(request));
}

void VirtioScsi::answer_for_target(std::unique_ptr<ScsiRequest> request, ScsiAddress address) {
    const std::vector<uint64_t> luns = luns_of(address.target);
    if (luns.empty()) return end(std::move(request), {.response = kResponseBadTarget});
    const scsi::Sense sense =
        request->descriptor[0] == scsi::kReportLuns
            ? scsi::report_luns(request->cdb(), luns, request->data)
            : scsi::execute_for_absent_unit(request->cdb(), address.lun == 0, request->data);
    if (sense != scsi::kSenseNone) return end(std::move(request), {.sense = sense});
    move_data(std::move(request));
}

void VirtioScsi::move_data(std::unique_ptr<ScsiRequest> request) {
    DataPhase& data = request->data;
    SliceList& out = request->chain.readable;
    switch (data.direction) {
        case DataPhase::Direction::kNone:
            if (data.work.any()) return start_work(std::move(request));
            return end(std::move(request), {});
        case DataPhase::Direction::kToHost: {
            // The driver has no room for what the command brings [virtio-1.2 5.6.6.1.1].
            if (request->data_in.size() < data.size)
                return end(std::move(request), {.response = kResponseOverrun});
            if (data.with_medium()) return start_work(std::move(request));
            const uint64_t moved = request->data_in.fill(std::as_bytes(std::span(data.buffer)));
            return end(std::move(request), {.moved = moved});
        }
        case DataPhase::Direction::kFromHost:
            if (out.size() < data.size)
                return end(std::move(request), {.response = kResponseOverrun});
            if (data.with_medium()) return start_work(std::move(request));
            return take_parameters(std::move(request));
    }
}

void VirtioScsi::take_parameters(std::unique_ptr<ScsiRequest> request) {
    DataPhase& data = request->data;
    const bool taken =
        request->chain.readable.take_front(std::as_writable_bytes(std::span(data.buffer)));
    if (!taken) return end(std::move(request), {.response = kResponseOverrun});
    const scsi::Sense sense = request->unit->received(*request);
    const uint64_t moved = data.size;
    if (sense != scsi::kSenseNone) return end(std::move(request), {.sense = sense, .moved = moved});
    if (data.work.any()) return start_work(std::move(request));
    end(std::move(request), {.moved = moved});
}

void VirtioScsi::start_work(std::unique_ptr<ScsiRequest> request) {
    DataPhase& data = request->data;
    std::span<const Slice> slices;
    if (data.with_medium()) {
        SliceList& moved = data.direction == DataPhase::Direction::kToHost
                               ? request->data_in
                               : request->chain.readable;
        SliceList rest;  // more than the command moves
        if (!moved.take_back(moved.size() - data.size, rest))
            return end(std::move(request), {.response = kResponseFailure});
        slices = moved.slices();
    } else if (data.repeats_buffer) {
        request->repeated = data.repeated();
        slices = request->repeated;
    }
    ScsiRequest& job = *request.release();  // comes back in job_done(), or below
    if (const auto status = job.start(job.data.work, slices))
        work_done(std::unique_ptr<ScsiRequest>(&job), *status);
}

void VirtioScsi::job_done(MediumJob& job, BlockStatus status) {
    work_done(std::unique_ptr<ScsiRequest>(static_cast<ScsiRequest*>(&job)), status);
}

void VirtioScsi::work_done(std::unique_ptr<ScsiRequest> request, BlockStatus status) {
    const scsi::Sense sense = request->unit->finish(*request, status);
    const uint64_t moved = sense == scsi::kSenseNone ? request->data.size : 0;
    end(std::move(request), {.sense = sense, .moved = moved});
}

void VirtioScsi::end(std::unique_ptr<ScsiRequest> request, const Outcome& outcome) {
    struct {
        CommandResponse response{};
        std::array<uint8_t, kMaxSenseSize> sense{};
    } answer;
    const uint8_t aborted = request->unit ? request->unit->abort_response(*request) : uint8_t{0};
    answer.response.response = aborted != 0 ? aborted : outcome.response;
    const bool to_host = request->data.direction == DataPhase::Direction::kToHost;
    const uint64_t moved = aborted == 0 ? outcome.moved : 0;
    if (answer.response.response == kResponseOk) {
        if (outcome.sense != scsi::kSenseNone) {
            const auto sense = scsi::fixed_sense(outcome.sense);
            const size_t size = std::min<size_t>(sense.size(), request->sense_size);
            std::copy_n(sense.begin(), size, answer.sense.begin());
            answer.response.sense_length = static_cast<uint32_t>(size);
            answer.response.status = scsi::kStatusCheckCondition;
        }
        answer.response.residual =
            static_cast<uint32_t>(std::min<uint64_t>(request->data_room - moved, ~uint32_t{0}));
    }
    const uint64_t head_size = sizeof answer.response + request->sense_size;
    SliceList& head = request->chain.writable;
    head.fill(std::as_bytes(std::span(&answer, 1)).first(head_size));
    VirtioQueue& queue = *request->queue;
    queue.wrote(head);
    if (to_host) queue.wrote(request->data_in);
    const uint64_t written = head_size + (to_host ? moved : 0);
    queue.give_back(request->chain.head,
                    static_cast<uint32_t>(std::min<uint64_t>(written, ~uint32_t{0})));
    // Only now: who waits for the command must find it given back.
    std::vector<std::shared_ptr<ScsiTask>> waiting;
    if (request->unit) request->unit->leave(*request, waiting);
    waiting.clear();
    recycle(std::move(request));
}

std::unique_ptr<ScsiRequest> VirtioScsi::new_request() {
    MutexLock hold(pool_lock_);
    ++out_;
    if (pool_.empty()) return std::make_unique<ScsiRequest>(static_cast<MediumJobOwner&>(*this));
    std::unique_ptr<ScsiRequest> request = std::move(pool_.back());
    pool_.pop_back();
    return request;
}

void VirtioScsi::recycle(std::unique_ptr<ScsiRequest> request) {
    request->unit = nullptr;
    request->data.clear();
    request->data_in.clear();
    request->repeated.clear();
    MutexLock hold(pool_lock_);
    // As many as were ever in flight together: bounded by the queues, small in practice.
    pool_.push_back(std::move(request));
    if (--out_ == 0) all_back_.notify_all();
}

}  // namespace mynah
