#include "device/storage/ahci_port.h"

#include <algorithm>
#include <bit>

#include "base/bits.h"
#include "base/check.h"

namespace mynah {

using namespace ahci;

AhciPort::AhciPort(const DmaView& memory, MediumJobOwner& jobs, bool staggered_spin_up)
    : memory_(memory), jobs_(jobs), staggered_(staggered_spin_up) {
    reset_done();
}

void AhciPort::attach(AtaDevice& device) {
    CHECK(device_ == nullptr);
    device_ = &device;
    for (unsigned slot = 0; slot < kSlots; ++slot) {
        tasks_.push_back(std::make_unique<AhciTask>(*this, slot, jobs_));
    }
    reset_done();
}

void AhciPort::begin_reset() {
    go_offline();
    clb_ = fb_ = 0;
    is_ = ie_ = cmd_ = sctl_ = serr_ = 0;
}

void AhciPort::reset_done() {
    begin_reset();
    link_wanted_ = device_ != nullptr && powered();
    try_link_up();
}

bool AhciPort::powered() const { return !staggered_ || (cmd_ & cmd::kSpinUp) != 0; }

uint32_t AhciPort::interrupt_status() const {
    // Two bits mirror PxSERR [AHCI 3.3.5].
    return is_ | ((serr_ & serr::kExchanged) != 0 ? is::kConnectChange : 0) |
           ((serr_ & serr::kPhyReady) != 0 ? is::kPhyReady : 0);
}

uint32_t AhciPort::read(uint32_t offset) const {
    switch (offset) {
        case kClb:
            return static_cast<uint32_t>(clb_);
        case kClbu:
            return static_cast<uint32_t>(clb_ >> 32);
        case kFb:
            return static_cast<uint32_t>(fb_);
        case kFbu:
            return static_cast<uint32_t>(fb_ >> 32);
        case kPxIs:
            return interrupt_status();
        case kPxIe:
            return ie_;
        case kPxCmd: {
            uint32_t value = cmd_ | cmd::kPowerOn;
            if (!staggered_) value |= cmd::kSpinUp;
            if ((cmd_ & cmd::kFisEnable) != 0) value |= cmd::kFisRunning;
            if (running() || stopping_) value |= cmd::kListRunning;
            return value;
        }
        case kTfd:
            return status_ | uint32_t{error_} << 8;
        case kSig:
            return sig_;
        case kSsts:
            return ssts_;
        case kSctl:
            return sctl_;
        case kSerr:
            return serr_;
        case kSact:
            return sact_;
        case kCi:
            return ci_;
        default:
            return 0;
    }
}

void AhciPort::write(uint32_t offset, uint32_t value) {
    switch (offset) {
        case kClb:
            clb_ = (clb_ & ~low_mask(32)) | (value & kClbMask);
            return;
        case kClbu:
            clb_ = (clb_ & low_mask(32)) | uint64_t{value} << 32;
            return;
        case kFb:
            fb_ = (fb_ & ~low_mask(32)) | (value & kFbMask);
            return;
        case kFbu:
            fb_ = (fb_ & low_mask(32)) | uint64_t{value} << 32;
            return;
        case kPxIs:
            is_ &= ~(value & is::kClearable);
            return;
        case kPxIe:
            ie_ = value & is::kEnables;
            return;
        case kPxCmd:
            write_command(value);
            return;
        case kSctl:
            write_control(value);
            return;
        case kSerr:
            serr_ &= ~value;
            return;
        case kSact:
            if (running()) sact_ |= value;  // [AHCI 3.3.13]
            return;
        case kCi:
            if (!running()) return;  // [AHCI 3.3.14]
            ci_ |= value;
            process();
            return;
        default:
            return;
    }
}

void AhciPort::write_command(uint32_t value) {
    const uint32_t before = cmd_;
    cmd_ = (cmd_ & ~cmd::kWritable) | (value & cmd::kWritable);
    if (staggered_) cmd_ = (cmd_ & ~cmd::kSpinUp) | (value & cmd::kSpinUp);
    if ((before & cmd::kStart) != 0 && !running()) stop_list();
    if ((value & cmd::kOverride) != 0 && (before & cmd::kStart) == 0) {
        status_ &= static_cast<uint8_t>(~(ata::status::kBusy | ata::status::kDataRequest));
    }
    if (staggered_ && ((before ^ cmd_) & cmd::kSpinUp) != 0) {
        if ((cmd_ & cmd::kSpinUp) == 0) go_offline();
        link_wanted_ = device_ != nullptr && powered();
    }
    try_link_up();
    if (signature_pending_ && (cmd_ & cmd::kFisEnable) != 0) {
        signature_pending_ = false;
        post_device_to_host(device_->signature(), false);
    }
}

// [AHCI 10.1.1, 3.3.11]: 1 and back to 0 resets the link and the device; 4 turns it off.
void AhciPort::write_control(uint32_t value) {
    const uint32_t before = sctl_ & sctl::kDetection;
    sctl_ = value & sctl::kWritable;
    const uint32_t now = sctl_ & sctl::kDetection;
    if (now == before) return;
    if (now != 0) {
        go_offline();
        if (now == sctl::kDisable) ssts_ = sstatus::kOffline;
        return;
    }
    link_wanted_ = device_ != nullptr && powered();
    try_link_up();
}

// Forgets every command; those that are away come back unnoticed.
void AhciPort::abandon_all() {
    for (uint32_t left = issued_; left != 0; left &= left - 1) {
        AhciTask& task = *tasks_[static_cast<size_t>(std::countr_zero(left))];
        if ((ready_ & uint32_t{1} << task.slot) != 0) {
            task.busy = false;
        } else {
            task.abandoned = true;
        }
    }
    issued_ = ready_ = 0;
}

void AhciPort::stop_list() {
    abandon_all();
    ci_ = sact_ = 0;
    halted_ = false;
    next_ = 0;
    cmd_ &= ~(uint32_t{0x1f} << cmd::kSlotShift);
    stopping_ = away_ > 0;
}

void AhciPort::go_offline() {
    stop_list();
    link_wanted_ = signature_pending_ = soft_reset_ = false;
    ssts_ = 0;
    sig_ = kNoSignature;
    status_ = kNoDeviceStatus;
    error_ = 0;
}

// The link comes up, and the device after its reset says what it is [AHCI 10.4.2].
void AhciPort::try_link_up() {
    if (!link_wanted_ || away_ > 0) return;
    link_wanted_ = false;
    device_->reset(AtaDevice::Reset::kPowerOn);
    const uint32_t limit = sctl_ >> sctl::kSpeedShift & 0xf;
    const uint32_t speed = limit == 0 ? sstatus::kFastest : std::min(limit, sstatus::kFastest);
    ssts_ = sstatus::kConnected | speed << sstatus::kSpeedShift;
    serr_ |= serr::kExchanged | serr::kPhyReady;
    const AtaOutcome signature = device_->signature();
    sig_ = static_cast<uint32_t>(signature.lba << 8 | (signature.count & 0xff));
    status_ = signature.status;
    error_ = signature.error;
    signature_pending_ = (cmd_ & cmd::kFisEnable) == 0;
    if (!signature_pending_) post_device_to_host(signature, false);
}

bool AhciPort::uses(const BlockBackend& backend) const {
    return std::any_of(tasks_.begin(), tasks_.end(), [&](const auto& task) {
        return task->busy && task->command.data.work.backend == &backend;
    });
}

AhciTask* AhciPort::take_ready() {
    if (ready_ == 0) return nullptr;
    const auto slot = static_cast<unsigned>(std::countr_zero(ready_));
    ready_ &= ready_ - 1;
    ++away_;
    return tasks_[slot].get();
}

void AhciPort::finished(AhciTask& task, BlockStatus status) {
    CHECK(task.busy && away_ > 0);
    --away_;
    if (task.command.data.work.operation == BlockOperation::kRead) memory_.wrote(task.slices);
    if (task.abandoned) {
        task.abandoned = task.busy = false;
        if (away_ > 0) return;
        stopping_ = false;
        try_link_up();
        process();
        return;
    }
    device_->finish(task.command, status);
    if (task.command.data.with_medium() && status == BlockStatus::kOk) {
        task.moved = task.command.data.size;
    }
    complete(task);
    process();
}

}  // namespace mynah
