#include "device/storage/atapi_cdrom.h"

#include <utility>

#include "device/storage/identify_block.h"
#include "spec/ata/commands.h"

namespace mynah {

using namespace ata;

namespace {

constexpr uint8_t kDefaultTransferMode = 0x42;  // Ultra DMA mode 2

// A packet command that failed: CHECK bit, and the sense key in error 7:4 [ACS-3 6.2].
void fail_with(AtaCommand& command, scsi::Sense sense) {
    const bool aborted = sense.key == scsi::kIllegalRequest;
    command.fail(static_cast<uint8_t>(sense.key << 4 | (aborted ? error::kAborted : 0)));
    command.outcome.count = packet::kCommand | packet::kToHost;
}

CdDriveOptions drive_options(const AtapiCdromOptions& options) {
    CdDriveOptions drive;
    drive.serial = options.serial;
    return drive;
}

}  // namespace

AtapiCdrom::AtapiCdrom(AtapiCdromOptions options)
    : options_(std::move(options)),
      drive_(drive_options(options_)),
      transfer_mode_(kDefaultTransferMode) {}

void AtapiCdrom::reset(Reset kind) {
    if (kind == Reset::kPowerOn) {
        transfer_mode_ = kDefaultTransferMode;
        drive_.reset();
    }
}

AtaOutcome AtapiCdrom::signature() const {
    AtaOutcome outcome;
    outcome.status = 0;  // not ready until the first packet [ACS-3 table 206]
    outcome.error = error::kDiagnosticPassed;
    outcome.count = 1;
    outcome.lba = kPacketSignature;
    return outcome;
}

// The disk's commands end with the packet device's signature in the registers [ACS-3 4.3.2].
void AtapiCdrom::fail_with_signature(AtaCommand& command) const {
    command.fail(error::kAborted);
    command.outcome.count = 1;
    command.outcome.lba = kPacketSignature;
}

void AtapiCdrom::begin(AtaCommand& command) {
    const AtaTaskFile& in = command.taskfile;
    command.outcome.device = in.device;
    command.outcome.lba = in.lba;
    switch (in.command) {
        case kPacket:
            command.wants_packet = true;
            command.dma = (in.features & packet::kFeatureDma) != 0;
            return;
        case kIdentifyPacketDevice:
            identify(command);
            return;
        case kDeviceReset:
            reset(Reset::kSoft);
            command.outcome = signature();
            return;
        case kExecuteDiagnostic:
            command.outcome = signature();
            return;
        case kIdentifyDevice:
        case kReadSectors:
            fail_with_signature(command);
            return;
        case kSetFeatures:
            set_features(command);
            return;
        case kStandbyImmediate:
        case kIdleImmediate:
        case kStandby:
        case kIdle:
        case kSleep:
        case kFlushCache:
            return;
        case kCheckPowerMode:
            command.outcome.count = 0xff;
            return;
        default:
            command.fail(error::kAborted);
    }
}

void AtapiCdrom::set_features(AtaCommand& command) {
    const uint8_t what = static_cast<uint8_t>(command.taskfile.features);
    const uint8_t mode = static_cast<uint8_t>(command.taskfile.count);
    if (what == set_features::kEnableRevert || what == set_features::kDisableRevert) return;
    const uint8_t number = mode & 7, family = mode >> 3;
    const bool known = (family == 0 && number <= 1) || (family == 1 && number <= 4) ||
                       (family == 4 && number <= 2) || (family == 8 && number <= 5);
    if (what != set_features::kSetTransferMode || !known) {
        command.fail(error::kAborted);
        return;
    }
    if (family >= 4) transfer_mode_ = mode;
}

void AtapiCdrom::packet(AtaCommand& command, std::span<const uint8_t, kPacketSize> cdb) {
    command.wants_packet = false;
    command.outcome.count = packet::kCommand | packet::kToHost;
    const scsi::Sense sense = drive_.execute(cdb, command.data);
    if (sense != scsi::kSenseNone) fail_with(command, sense);
    // By PIO the host says how much it takes at a time, in lba 23:8; 0 and odd numbers mean what
    // they are nearest to [ACS-3 7.21.5].
    const uint32_t limit = static_cast<uint32_t>(command.taskfile.lba >> 8 & 0xffff);
    command.block_bytes = limit < 2 || limit == 0xffff ? 0xfffe : limit & ~1u;
}

void AtapiCdrom::received(AtaCommand&) {}

void AtapiCdrom::finish(AtaCommand& command, BlockStatus status) {
    if (status == BlockStatus::kOk) return;
    fail_with(command, drive_.finish(command.data, status));
}

void AtapiCdrom::identify(AtaCommand& command) const {
    IdentifyBlock id;
    id.word(0, 0x85c0);  // packet device, CD/DVD, removable, 50 microseconds to DRQ, 12 bytes
    id.text(10, 10, options_.serial);
    id.text(23, 4, options_.firmware);
    id.text(27, 20, options_.model);
    id.word(49, 0x0f00);  // IORDY, LBA, DMA
    id.word(50, 0x4000);
    id.word(53, 0x0006);
    const unsigned number = transfer_mode_ & 7;
    const bool ultra = transfer_mode_ >> 3 == 8;
    id.word(63, static_cast<uint16_t>(0x0007 | (ultra ? 0 : 1u << (8 + number))));
    id.word(64, 0x0003);
    for (unsigned i = 65; i <= 68; ++i) id.word(i, 120);
    if (options_.serial_ata) {
        id.word(76, 0x000e);
        id.word(77, 3 << 1);
    }
    id.word(80, 0x03f0);
    id.word(82, 0x0218);  // DEVICE RESET, PACKET, power management
    id.word(83, 0x4000);
    id.word(84, 0x4000);
    id.word(85, 0x0218);
    id.word(87, 0x4000);
    id.word(88, static_cast<uint16_t>(0x003f | (ultra ? 1u << (8 + number) : 0)));
    if (!options_.serial_ata) id.word(93, 0x6001);
    if (options_.serial_ata) id.word(222, 0x107f);
    command.data.send(id.bytes());
    command.block_bytes = kIdentifySize;
}

}  // namespace mynah
