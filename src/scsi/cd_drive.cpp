#include "scsi/cd_drive.h"

#include <algorithm>
#include <array>
#include <utility>

#include "scsi/byte_writer.h"
#include "spec/scsi/commands.h"

namespace mynah {

using namespace scsi;

namespace {

// Above 80 minutes of 75 blocks a second no CD is made.
constexpr uint32_t kMostCdBlocks = 80 * 60 * 75;

}  // namespace

CdDrive::CdDrive(CdDriveOptions options) : options_(std::move(options)) {}

void CdDrive::reset() {
    locked_ = false;
    attention_ = kSensePowerOn;
    last_ = kSenseNone;
}

void CdDrive::insert(BlockBackend& medium) {
    medium_ = &medium;
    tray_open_ = false;
    attention_ = kSenseMediumChanged;
    event_ = MediaEvent::kNew;
}

bool CdDrive::eject(bool force) {
    if (locked_ && !force && medium_ != nullptr) {
        event_ = MediaEvent::kEjectRequest;
        return false;
    }
    if (medium_ != nullptr && !tray_open_) event_ = MediaEvent::kRemoved;
    medium_ = nullptr;
    tray_open_ = true;
    return true;
}

uint32_t CdDrive::blocks() const {
    return static_cast<uint32_t>(
        std::min<uint64_t>(medium_->geometry().size / kBlockSize, ~uint32_t{0}));
}

bool CdDrive::is_dvd() const { return blocks() > kMostCdBlocks; }

Sense CdDrive::not_ready() const { return tray_open_ ? kSenseTrayOpen : kSenseTrayClosed; }

Sense CdDrive::execute(std::span<const uint8_t> cdb, DataPhase& data) {
    // Shorter packets continue with zeroes, so that no length need be checked below.
    std::array<uint8_t, 16> whole{};
    std::copy_n(cdb.begin(), std::min(cdb.size(), whole.size()), whole.begin());
    const uint8_t code = whole[0];
    data.clear();
    if (code == kRequestSense) return request_sense(whole, data);
    // These tell about the drive, whatever state it is in [MMC-6 4.1.6, SPC-4 5.14].
    const bool attentive = code != kInquiry && code != kReportLuns && code != kGetConfiguration &&
                           code != kGetEventStatusNotification;
    if (attentive && attention_ != kSenseNone) {
        last_ = std::exchange(attention_, kSenseNone);
        return last_;
    }
    last_ = dispatch(whole, data);
    if (last_ != kSenseNone) data.clear();
    return last_;
}

Sense CdDrive::finish(const DataPhase&, BlockStatus status) {
    if (status == BlockStatus::kOk) return kSenseNone;
    last_ = kSenseUnrecoveredRead;
    return last_;
}

// Commands that need no medium.
Sense CdDrive::dispatch(Cdb cdb, DataPhase& data) {
    switch (cdb[0]) {
        case kInquiry:
            return inquiry(cdb, data);
        case kModeSense6:
        case kModeSense10:
            return mode_sense(cdb, data);
        case kGetConfiguration:
            return get_configuration(cdb, data);
        case kGetEventStatusNotification:
            return get_event_status(cdb, data);
        case kMechanismStatus:
            return mechanism_status(cdb, data);
        case kStartStopUnit:
            return start_stop(cdb);
        case kPreventAllowMediumRemoval:
            // Bit 1 is the persistent form, for changers [MMC-6 6.16].
            if ((cdb[4] & 2) != 0) return kSenseInvalidField;
            locked_ = (cdb[4] & 1) != 0;
            return kSenseNone;
        case kSetCdSpeed:
        case kSynchronizeCache10:
            return kSenseNone;
        default:
            return dispatch_medium(cdb, data);
    }
}

Sense CdDrive::dispatch_medium(Cdb cdb, DataPhase& data) {
    switch (cdb[0]) {
        case kTestUnitReady:
        case kReadCapacity10:
        case kRead10:
        case kRead12:
        case kReadCd:
        case kSeek10:
        case kVerify10:
        case kReadToc:
        case kReadSubChannel:
        case kReadDiscInformation:
        case kReadTrackInformation:
        case kReadDvdStructure:
            if (!ready()) return not_ready();
            break;
        default:
            return kSenseInvalidOpcode;
    }
    const uint64_t lba = big_endian(cdb, 2, 4);
    switch (cdb[0]) {
        case kReadCapacity10:
            return read_capacity(data);
        case kRead10:
            return read(data, lba, big_endian(cdb, 7, 2));
        case kRead12:
            return read(data, lba, big_endian(cdb, 6, 4));
        case kReadCd:
            return read_cd(cdb, data);
        case kSeek10:
        case kVerify10:
            return lba < blocks() ? kSenseNone : kSenseLbaOutOfRange;
        case kReadToc:
            return read_toc(cdb, data);
        case kReadSubChannel:
            return read_sub_channel(cdb, data);
        case kReadDiscInformation:
            return read_disc_information(cdb, data);
        case kReadTrackInformation:
            return read_track_information(cdb, data);
        case kReadDvdStructure:
            return read_dvd_structure(cdb, data);
        default:
            return kSenseNone;  // kTestUnitReady
    }
}

Sense CdDrive::read(DataPhase& data, uint64_t lba, uint64_t count) {
    if (lba > blocks() || count > blocks() - lba) return kSenseLbaOutOfRange;
    if (count == 0) return kSenseNone;
    data.transfer(BlockOperation::kRead, *medium_, lba * kBlockSize, count * kBlockSize);
    return kSenseNone;
}

// [MMC-6 6.19]: only the user data of a sector, nothing around it.
Sense CdDrive::read_cd(Cdb cdb, DataPhase& data) {
    const uint64_t lba = big_endian(cdb, 2, 4), count = big_endian(cdb, 6, 3);
    const uint8_t sector_type = cdb[1] >> 2 & 7, parts = cdb[9] & 0xf8, subchannel = cdb[10] & 7;
    constexpr uint8_t kAnyType = 0, kMode1 = 2, kUserData = 0x10;
    if (is_dvd()) return kSenseInvalidOpcode;
    if (sector_type != kAnyType && sector_type != kMode1) return kSenseIllegalTrackMode;
    if (count == 0 || parts == 0) return lba <= blocks() ? kSenseNone : kSenseLbaOutOfRange;
    if (parts != kUserData || subchannel != 0) return kSenseInvalidField;
    return read(data, lba, count);
}

Sense CdDrive::read_capacity(DataPhase& data) const {
    ByteWriter answer;
    answer.u32(blocks() == 0 ? 0 : blocks() - 1);
    answer.u32(kBlockSize);
    data.send(answer.bytes());
    return kSenseNone;
}

// [MMC-6 6.42]
Sense CdDrive::start_stop(Cdb cdb) {
    const bool start = (cdb[4] & 1) != 0, load_eject = (cdb[4] & 2) != 0;
    const uint8_t power_condition = cdb[4] >> 4;
    if (power_condition != 0 || !load_eject) return kSenseNone;  // spins as it likes
    if (start) {
        if (!tray_open_) return kSenseNone;
        tray_open_ = false;
        if (medium_ == nullptr) return kSenseNone;
        attention_ = kSenseMediumChanged;
        event_ = MediaEvent::kNew;
        return kSenseNone;
    }
    if (locked_) return kSenseRemovalPrevented;
    if (!tray_open_ && medium_ != nullptr) event_ = MediaEvent::kRemoved;
    tray_open_ = true;
    return kSenseNone;
}

Sense CdDrive::request_sense(Cdb cdb, DataPhase& data) {
    // A pending attention is told here, too, and is over then [SPC-4 6.39].
    if (last_ == kSenseNone) last_ = std::exchange(attention_, kSenseNone);
    data.send(fixed_sense(std::exchange(last_, kSenseNone)), cdb[4]);
    return kSenseNone;
}

}  // namespace mynah
