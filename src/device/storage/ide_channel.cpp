#include "device/storage/ide_channel.h"

#include "base/bits.h"
#include "base/check.h"
#include "spec/ata/commands.h"

namespace mynah {

using namespace ide;

namespace {

// With nobody there the pull-down on DD7 makes the difference [ATA8-APT 5.1].
constexpr uint8_t kFloating = 0x7f;

}  // namespace

IdeChannel::IdeChannel(const DmaView& memory, MediumJobOwner& owner)
    : MediumJob(owner), memory_(memory), buffer_(kBufferSize) {}

void IdeChannel::attach(unsigned index, AtaDevice& device) {
    CHECK(index < devices_.size() && devices_[index] == nullptr);
    devices_[index] = &device;
    bm_status_ |= static_cast<uint8_t>(0x20 << index);  // can do DMA; firmware's to say, in truth
    reset();
}

void IdeChannel::reset() {
    control_ = bm_command_ = 0;
    bm_status_ &= bm_status::kDriveCapable;
    bm_table_ = 0;
    begin_reset(AtaDevice::Reset::kPowerOn, true);
    interrupt_ = false;
}

// Registers of a device that is not there are answered by the other one, with no status
// [ATA8-APT 6.4].
uint8_t IdeChannel::status() const {
    if (resetting_) return ata::status::kBusy;
    return selected() != nullptr ? status_[index_] : 0;
}

uint8_t IdeChannel::alternate_status() const { return nobody() ? kFloating : status(); }

uint8_t IdeChannel::read(unsigned offset) {
    if (nobody()) return kFloating;
    const bool high = (control_ & ata::control::kHighOrderByte) != 0;
    const auto half = [high](const Latch& latch) { return high ? latch.before : latch.now; };
    switch (offset) {
        case kError:
            return error_[index_];
        case kCount:
            return half(count_);
        case kLbaLow:
        case kLbaMid:
        case kLbaHigh:
            return half(lba_[offset - kLbaLow]);
        case kDevice:
            return device_;
        case kStatus:
            interrupt_ = false;
            return status();
        default:
            return 0;
    }
}

void IdeChannel::write(unsigned offset, uint8_t value) {
    if (nobody()) return;
    // Any write brings the low halves back [ACS-2 6.20].
    control_ &= static_cast<uint8_t>(~ata::control::kHighOrderByte);
    const bool device_reset = offset == kCommand && value == ata::kDeviceReset &&
                              selected() != nullptr && selected()->is_packet_device();
    if (device_reset && !resetting_) return begin_reset(AtaDevice::Reset::kSoft, false);
    if (busy() || phase_ == Phase::kMedium) return;
    switch (offset) {
        case kFeatures:
            features_.push(value);
            return;
        case kCount:
            count_.push(value);
            return;
        case kLbaLow:
        case kLbaMid:
        case kLbaHigh:
            lba_[offset - kLbaLow].push(value);
            return;
        case kDevice:
            device_ = value;
            index_ = (value & ata::device::kSecond) != 0 ? 1 : 0;
            return;
        case kCommand:
            begin(value);
            return;
        default:
            return;
    }
}

void IdeChannel::write_control(uint8_t value) {
    const uint8_t before = control_;
    control_ = value;
    const bool reset = (value & ata::control::kSoftReset) != 0;
    const bool was = (before & ata::control::kSoftReset) != 0;
    if (reset == was) return;
    if (reset) {
        begin_reset(AtaDevice::Reset::kSoft, true);
    } else {
        finish_reset();
    }
}

// The devices stay busy until SRST is clear and nothing is away.
void IdeChannel::begin_reset(AtaDevice::Reset kind, bool both) {
    resetting_ = true;
    reset_kind_ = kind;
    reset_both_ = both;
    phase_ = Phase::kIdle;
    ready_ = interrupt_ = false;
    abandoned_ = away_;
    bm_status_ &= static_cast<uint8_t>(~bm_status::kActive);
    finish_reset();
}

void IdeChannel::finish_reset() {
    if (!resetting_ || away_ || (control_ & ata::control::kSoftReset) != 0) return;
    resetting_ = false;
    if (reset_both_) index_ = 0;
    const unsigned shown = index_;
    for (unsigned i = 0; i < devices_.size(); ++i) {
        if (devices_[i] == nullptr || (!reset_both_ && i != shown)) continue;
        devices_[i]->reset(reset_kind_);
        status_[i] = devices_[i]->signature().status;
        error_[i] = devices_[i]->signature().error;
    }
    // Device 0 speaks for both, if it is there [ATA8-APT 10].
    AtaDevice* speaker = devices_[shown] != nullptr ? devices_[shown] : devices_[1 - shown];
    if (speaker != nullptr) {
        AtaOutcome signature = speaker->signature();
        signature.device = static_cast<uint8_t>(shown << 4);
        show_registers(signature);
    }
}

void IdeChannel::show_registers(const AtaOutcome& outcome) {
    count_ = {static_cast<uint8_t>(outcome.count), static_cast<uint8_t>(outcome.count >> 8)};
    for (unsigned i = 0; i < 3; ++i) {
        lba_[i] = {static_cast<uint8_t>(outcome.lba >> (8 * i)),
                   static_cast<uint8_t>(outcome.lba >> (8 * i + 24))};
    }
    device_ = static_cast<uint8_t>((outcome.device & ~ata::device::kSecond) | index_ << 4);
}

void IdeChannel::show(const AtaOutcome& outcome) {
    show_registers(outcome);
    status_[active_] = outcome.status;
    error_[active_] = outcome.error;
}

void IdeChannel::begin(uint8_t code) {
    if (code == ata::kExecuteDiagnostic) {  // goes to both; the first answers [ACS-2 7.9]
        index_ = 0;
        device_ &= static_cast<uint8_t>(~ata::device::kSecond);
    }
    if (selected() == nullptr) return;
    active_ = index_;
    interrupt_ = false;
    command_.clear();
    command_.taskfile.command = code;
    command_.taskfile.device = device_;
    command_.taskfile.features = features_.both();
    command_.taskfile.count = count_.both();
    for (unsigned i = 0; i < 3; ++i) {
        command_.taskfile.lba |= uint64_t{lba_[i].now} << (8 * i) | uint64_t{lba_[i].before}
                                                                        << (8 * i + 24);
    }
    slices_.clear();
    work_.clear();
    done_ = 0;
    active().begin(command_);
    if (command_.outcome.failed()) return complete();
    if (command_.wants_packet) {
        // [ACS-3 7.21.6]
        phase_ = Phase::kPacket;
        position_ = 0;
        block_end_ = chunk_ = ata::kPacketSize;
        count_.now = ata::packet::kCommand;
        status_[active_] = ata::status::kIdle | ata::status::kDataRequest;
        return;
    }
    advance();
}

// What comes after the command, or its packet, is understood.
void IdeChannel::advance() {
    if (command_.data.size > 0 && command_.dma) {
        phase_ = Phase::kDma;
        status_[active_] = ata::status::kReady | ata::status::kDataRequest;
        if ((bm_command_ & bm_command::kStart) != 0) start_dma();
        return;
    }
    if (command_.data.size > 0) return start_pio();
    if (command_.data.work.any()) {
        work_ = command_.data.work;
        return start_work();
    }
    complete();
}

void IdeChannel::complete() {
    phase_ = Phase::kIdle;
    show(command_.outcome);
    raise();
}

void IdeChannel::raise() {
    interrupt_ = true;
    if (interrupt()) bm_status_ |= bm_status::kInterrupt;
}

bool IdeChannel::take_ready() {
    if (!ready_) return false;
    ready_ = false;
    away_ = true;
    return true;
}

void IdeChannel::start_work() {
    phase_ = Phase::kMedium;
    status_[active_] = ata::status::kBusy;
    ready_ = true;
}

void IdeChannel::finished(BlockStatus status) {
    CHECK(away_);
    away_ = false;
    const bool reads = work_.operation == BlockOperation::kRead;
    if (reads && command_.dma) memory_.wrote(slices_);
    if (abandoned_) {
        abandoned_ = false;
        finish_reset();
        return;
    }
    if (status != BlockStatus::kOk) {
        active().finish(command_, status);
        bm_status_ &= static_cast<uint8_t>(~bm_status::kActive);
        return complete();
    }
    if (!command_.dma && command_.data.with_medium()) {
        if (reads) {
            next_block();
        } else {
            done_ += chunk_;
            next_chunk();
        }
        return;
    }
    active().finish(command_, status);
    bm_status_ &= static_cast<uint8_t>(~bm_status::kActive);
    complete();
}

uint8_t IdeChannel::read_bus_master(unsigned offset) const {
    switch (offset) {
        case kBmCommand:
            return bm_command_;
        case kBmStatus:
            return bm_status_;
        case kBmTable:
        case kBmTable + 1:
        case kBmTable + 2:
        case kBmTable + 3:
            return static_cast<uint8_t>(bm_table_ >> (8 * (offset - kBmTable)));
        default:
            return 0;
    }
}

void IdeChannel::write_bus_master(unsigned offset, uint8_t value) {
    switch (offset) {
        case kBmCommand: {
            const bool before = (bm_command_ & bm_command::kStart) != 0;
            bm_command_ = value & (bm_command::kStart | bm_command::kToMemory);
            const bool now = (bm_command_ & bm_command::kStart) != 0;
            if (now == before) return;
            bm_status_ &= static_cast<uint8_t>(~bm_status::kActive);
            if (!now) return;
            bm_status_ |= bm_status::kActive;
            if (phase_ == Phase::kDma) start_dma();
            return;
        }
        case kBmStatus:
            bm_status_ &=
                static_cast<uint8_t>(~(value & (bm_status::kError | bm_status::kInterrupt)));
            bm_status_ = static_cast<uint8_t>((bm_status_ & ~bm_status::kDriveCapable) |
                                              (value & bm_status::kDriveCapable));
            return;
        case kBmTable:
        case kBmTable + 1:
        case kBmTable + 2:
        case kBmTable + 3: {
            const unsigned shift = 8 * (offset - kBmTable);
            bm_table_ = (bm_table_ & ~(uint32_t{0xff} << shift)) | uint32_t{value} << shift;
            bm_table_ &= ~uint32_t{3};
            return;
        }
        default:
            return;
    }
}

}  // namespace mynah
