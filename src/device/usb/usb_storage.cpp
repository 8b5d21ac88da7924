#include "device/usb/usb_storage.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "scsi/target_commands.h"
#include "spec/scsi/commands.h"

namespace mynah {

using namespace usb::storage;

UsbDescription UsbStorage::describe(const ScsiDiskOptions& options) {
    UsbDescription storage;
    storage.vendor = 0x1209;
    storage.product = 0x0004;
    storage.manufacturer = options.vendor;
    storage.name = options.product;
    storage.serial = options.serial;
    storage.interface_class = usb::kClassMassStorage;
    storage.interface_subclass = kSubclassScsi;
    storage.interface_protocol = kProtocolBulkOnly;
    storage.speeds =
        speed_bit(UsbSpeed::kFull) | speed_bit(UsbSpeed::kHigh) | speed_bit(UsbSpeed::kSuper);
    for (uint8_t address : {kIn, kOut}) {
        UsbEndpointDescription endpoint{address, UsbEndpointType::kBulk, {8, 64, 512, 1024}, {}};
        endpoint.burst = 15;
        storage.endpoints.push_back(endpoint);
    }
    return storage;
}

UsbStorage::UsbStorage(BlockBackend& backend, ScsiDiskOptions options)
    : UsbDevice(describe(options)),
      backend_(backend),
      disk_(backend, std::move(options)),
      buffer_(kChunk) {}

UsbStorage::~UsbStorage() {
    mutex_.lock();
    while (in_flight_ || finishing_ != 0) idle_.wait(mutex_);
    mutex_.unlock();
}

void UsbStorage::do_reset() {
    disk_.reset();
    stage_ = Stage::kCommand;
    data_.clear();
    host_left_ = 0;
    data_left_ = data_begun_ = 0;
    buffer_at_ = buffer_end_ = 0;
    wanted_ = false;
    abandoned_ = in_flight_;
}

std::optional<std::vector<uint8_t>> UsbStorage::do_request(const usb::Setup& setup,
                                                           std::span<const uint8_t>) {
    constexpr uint8_t kClass = usb::kRequestClass | usb::kRecipientInterface;
    if (setup.index != 0 || setup.value != 0) return std::nullopt;
    if (setup.request_type == (usb::kRequestIn | kClass) && setup.request == kGetMaxLun) {
        return std::vector<uint8_t>{0};
    }
    if (setup.request_type == kClass && setup.request == kBulkOnlyReset) {
        do_reset();  // the endpoints stay halted until the host clears them [BOT 3.1]
        return std::vector<uint8_t>{};
    }
    return std::nullopt;
}

// A command that made no sense keeps both endpoints halted until reset recovery [BOT 6.6.1].
void UsbStorage::do_halt_cleared(uint8_t endpoint_address) {
    if (stage_ == Stage::kInvalid) halt(endpoint_address);
}

UsbReply UsbStorage::do_out(uint8_t, std::span<const std::byte> from) {
    // The buffer belongs to a request that was given up.
    if (in_flight_ && abandoned_) return {UsbStatus::kNak};
    switch (stage_) {
        case Stage::kCommand:
            return take_command(from);
        case Stage::kDataOut:
            return take_data(from);
        case Stage::kWait:
        case Stage::kDataIn:
        case Stage::kStatus:
            return {UsbStatus::kNak};
        case Stage::kInvalid:
            break;
    }
    halt(kOut);
    return {UsbStatus::kStall};
}

UsbReply UsbStorage::take_command(std::span<const std::byte> from) {
    // [BOT 6.2]
    if (from.size() == sizeof command_) std::memcpy(&command_, from.data(), sizeof command_);
    if (from.size() != sizeof command_ || command_.signature != kCommandSignature ||
        command_.lun > 15 || command_.command_length < 1 || command_.command_length > 16) {
        stage_ = Stage::kInvalid;
        halt(kIn);
        halt(kOut);
        return {UsbStatus::kStall};
    }
    const scsi::Sense sense = execute(std::span(command_.command, command_.command_length));
    host_left_ = command_.length;
    data_left_ = data_.size;
    data_begun_ = 0;
    buffer_at_ = buffer_end_ = 0;
    if (sense == scsi::kSenseNone) {
        start_data();
    } else {
        end_data(kStatusFailed);
    }
    return {UsbStatus::kOk, sizeof command_};
}

scsi::Sense UsbStorage::execute(std::span<const uint8_t> cdb) {
    constexpr uint64_t kLuns[] = {0};
    if (command_.lun != 0) return scsi::execute_for_absent_unit(cdb, false, data_);
    if (cdb[0] == scsi::kReportLuns) return scsi::report_luns(cdb, kLuns, data_);
    return disk_.execute(cdb, data_);
}

// Compares what the host wants to move with what the command moves: the thirteen cases of
// [BOT 6.7].
void UsbStorage::start_data() {
    const bool host_in = (command_.flags & kCommandDataIn) != 0;
    switch (data_.direction) {
        case DataPhase::Direction::kNone:
            if (!data_.work.any()) return end_data(kStatusPassed);
            stage_ = Stage::kWait;
            wanted_ = true;
            return;
        case DataPhase::Direction::kToHost:
            if (host_left_ < data_left_ || !host_in) return end_data(kStatusPhaseError);
            stage_ = Stage::kDataIn;
            if (data_.with_medium()) return next_chunk();
            // The longest answer is far shorter than the buffer.
            std::memcpy(buffer_.data(), data_.buffer.data(), data_.buffer.size());
            buffer_end_ = static_cast<uint32_t>(data_.buffer.size());
            return;
        case DataPhase::Direction::kFromHost:
            if (host_left_ < data_left_ || host_in) return end_data(kStatusPhaseError);
            stage_ = Stage::kDataOut;
            return;
    }
}

// Makes the request for what comes next; perform() submits it.
void UsbStorage::next_chunk() {
    buffer_at_ = 0;
    wanted_ = true;
}

// The data phase is over or does not take place. If the host expects to move more it must be told
// that there is nothing: by a halted endpoint [BOT 6.7.2, 6.7.3].
void UsbStorage::end_data(uint8_t status, bool host_knows) {
    status_ = status;
    stage_ = Stage::kStatus;
    if (host_left_ != 0 && !host_knows) halt((command_.flags & kCommandDataIn) != 0 ? kIn : kOut);
}

UsbReply UsbStorage::do_in(uint8_t, std::span<std::byte> to) {
    switch (stage_) {
        case Stage::kStatus:
            return give_status(to);
        case Stage::kDataIn:
            break;
        case Stage::kCommand:
        case Stage::kDataOut:
        case Stage::kWait:
            return {UsbStatus::kNak};
        case Stage::kInvalid:
            halt(kIn);
            return {UsbStatus::kStall};
    }
    if (wanted_ || in_flight_) return {UsbStatus::kNak};
    const auto size = static_cast<uint32_t>(std::min<size_t>(to.size(), buffer_end_ - buffer_at_));
    std::memcpy(to.data(), buffer_.data() + buffer_at_, size);
    buffer_at_ += size;
    host_left_ -= size;
    data_left_ -= size;
    if (data_left_ == 0) {
        // A packet that is not full tells the host that there is no more; else a halt must.
        const bool told = size % packet_size(kIn) != 0;
        end_data(kStatusPassed, told);
    } else if (buffer_at_ == buffer_end_) {
        next_chunk();
    }
    return {UsbStatus::kOk, size};
}

UsbReply UsbStorage::take_data(std::span<const std::byte> from) {
    if (wanted_ || in_flight_) return {UsbStatus::kNak};
    const uint64_t room = std::min<uint64_t>(kChunk - buffer_end_, data_left_);
    const auto size = static_cast<uint32_t>(std::min<uint64_t>(from.size(), room));
    std::memcpy(buffer_.data() + buffer_end_, from.data(), size);
    buffer_end_ += size;
    data_left_ -= size;
    host_left_ -= size;
    if (data_left_ == 0 && !data_.with_medium()) {
        // Parameters, which leave no work: the disk has no provisioning.
        std::memcpy(data_.buffer.data(), buffer_.data(), buffer_end_);
        const auto sense =
            disk_.received(std::span(command_.command, command_.command_length), data_);
        end_data(sense == scsi::kSenseNone ? kStatusPassed : kStatusFailed);
    } else if (data_left_ == 0 || buffer_end_ == kChunk) {
        next_chunk();
    }
    return {UsbStatus::kOk, size};
}

UsbReply UsbStorage::give_status(std::span<std::byte> to) {
    const StatusWrapper status{kStatusSignature, command_.tag, host_left_, status_};
    if (to.size() < sizeof status) return {UsbStatus::kBabble};
    std::memcpy(to.data(), &status, sizeof status);
    stage_ = Stage::kCommand;
    return {UsbStatus::kOk, sizeof status};
}

bool UsbStorage::has_work() const {
    MutexLock lock(mutex_);
    return wanted_ && !in_flight_;
}

void UsbStorage::perform() {
    {
        MutexLock lock(mutex_);
        if (!wanted_ || in_flight_) return;
        wanted_ = false;
        in_flight_ = true;
        request_ = {};
        request_.completion = this;
        const MediumWork& work = data_.work;
        request_.operation = work.operation;
        request_.durable = work.durable;
        request_.offset = work.ranges.front().offset + data_begun_;
        if (work.operation == BlockOperation::kRead)
            request_.size = std::min<uint64_t>(data_left_, kChunk);
        if (work.operation == BlockOperation::kWrite) request_.size = buffer_end_;
        slice_ = Slice(buffer_.data(), request_.size);
        if (request_.size != 0) request_.slices = {&slice_, 1};
    }
    backend_.submit(request_);
}

void UsbStorage::block_done(BlockRequest&, BlockStatus status) {
    {
        MutexLock lock(mutex_);
        in_flight_ = false;
        ++finishing_;
        if (!std::exchange(abandoned_, false)) chunk_done(status);
    }
    wake_host(kIn);
    wake_host(kOut);
    MutexLock lock(mutex_);
    --finishing_;
    idle_.notify_all();
}

void UsbStorage::chunk_done(BlockStatus status) {
    if (disk_.finish(data_, status) != scsi::kSenseNone) return end_data(kStatusFailed);
    data_begun_ += request_.size;
    switch (data_.work.operation) {
        case BlockOperation::kRead:
            buffer_end_ = static_cast<uint32_t>(request_.size);
            break;
        case BlockOperation::kWrite:
            buffer_end_ = 0;
            if (data_left_ == 0) end_data(kStatusPassed);
            break;
        default:
            end_data(kStatusPassed);
            break;
    }
}

}  // namespace mynah
