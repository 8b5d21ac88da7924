#include "device/storage/ata_disk.h"

#include <algorithm>
#include <utility>

#include "base/bits.h"
#include "base/check.h"
#include "spec/ata/commands.h"

namespace mynah {

using namespace ata;

namespace {

constexpr uint32_t kLogPageSize = 512;

// The usual geometry for what knows no other addressing [ACS-2 B.2].
constexpr uint8_t kDefaultHeads = 16, kDefaultSectorsPerTrack = 63;
constexpr uint16_t kMaxCylinders = 16383;

// Ultra DMA mode 5, in the coding of SET FEATURES [ACS-3 table 74].
constexpr uint8_t kDefaultTransferMode = 0x45;

}  // namespace

AtaDisk::AtaDisk(BlockBackend& backend, AtaDiskOptions options)
    : backend_(backend), geometry_(backend.geometry()), options_(std::move(options)) {
    CHECK(geometry_.logical_block_size >= 512 && geometry_.logical_block_size <= 4096);
    reset(Reset::kPowerOn);
}

void AtaDisk::reset(Reset kind) {
    queued_error_.reset();
    standby_ = false;
    if (kind == Reset::kSoft && !revert_) return;
    heads_ = kDefaultHeads;
    sectors_per_track_ = kDefaultSectorsPerTrack;
    cylinders_ = static_cast<uint16_t>(
        std::min<uint64_t>(sectors() / (kDefaultHeads * kDefaultSectorsPerTrack), kMaxCylinders));
    multiple_ = 0;
    transfer_mode_ = kDefaultTransferMode;
    write_cache_ = look_ahead_ = revert_ = smart_enabled_ = true;
}

AtaOutcome AtaDisk::signature() const {
    AtaOutcome outcome;
    outcome.error = error::kDiagnosticPassed;
    outcome.count = 1;
    outcome.lba = kDiskSignature;
    return outcome;
}

void AtaDisk::fail(AtaCommand& command, uint8_t error) { command.fail(error); }

void AtaDisk::begin(AtaCommand& command) {
    const AtaTaskFile& in = command.taskfile;
    command.outcome.device = in.device;
    command.outcome.lba = in.lba;
    const bool reads_log = in.command == kReadLogExt || in.command == kReadLogDmaExt;
    if (queued_error_ && !(reads_log && (in.lba & 0xff) == log_page::kQueuedError)) {
        fail(command, error::kAborted);  // until the log is read [ACS-3 4.14.2]
        return;
    }
    if (begin_queued(command) || begin_transfer(command) || begin_power(command) ||
        begin_information(command) || begin_other(command)) {
        return;
    }
    fail(command, error::kAborted);
}

bool AtaDisk::begin_transfer(AtaCommand& command) {
    constexpr auto kRead = BlockOperation::kRead;
    constexpr auto kWrite = BlockOperation::kWrite;
    constexpr auto k28 = Addressing::k28;
    constexpr auto k48 = Addressing::k48;
    switch (command.taskfile.command) {
        case kReadSectors:
        case kReadSectorsNoRetry:
            transfer(command, kRead, k28, Data::kPio);
            return true;
        case kReadSectorsExt:
            transfer(command, kRead, k48, Data::kPio);
            return true;
        case kReadMultiple:
            transfer(command, kRead, k28, Data::kMultiple);
            return true;
        case kReadMultipleExt:
            transfer(command, kRead, k48, Data::kMultiple);
            return true;
        case kReadDma:
        case kReadDmaNoRetry:
            transfer(command, kRead, k28, Data::kDma);
            return true;
        case kReadDmaExt:
            transfer(command, kRead, k48, Data::kDma);
            return true;
        case kWriteSectors:
        case kWriteSectorsNoRetry:
            transfer(command, kWrite, k28, Data::kPio);
            return true;
        case kWriteSectorsExt:
            transfer(command, kWrite, k48, Data::kPio);
            return true;
        case kWriteMultiple:
            transfer(command, kWrite, k28, Data::kMultiple);
            return true;
        case kWriteMultipleExt:
            transfer(command, kWrite, k48, Data::kMultiple);
            return true;
        case kWriteMultipleFuaExt:
            transfer(command, kWrite, k48, Data::kMultiple, true);
            return true;
        case kWriteDma:
        case kWriteDmaNoRetry:
            transfer(command, kWrite, k28, Data::kDma);
            return true;
        case kWriteDmaExt:
            transfer(command, kWrite, k48, Data::kDma);
            return true;
        case kWriteDmaFuaExt:
            transfer(command, kWrite, k48, Data::kDma, true);
            return true;
        default:
            return false;
    }
}

void AtaDisk::transfer(AtaCommand& command, BlockOperation operation, Addressing addressing,
                       Data data, bool durable) {
    const std::optional<Extent> where = extent(command.taskfile, addressing);
    if (!where) return fail(command, error::kIdNotFound);
    if (data == Data::kMultiple && multiple_ == 0) return fail(command, error::kAborted);
    if (operation == BlockOperation::kWrite && geometry_.read_only) {
        return fail(command, error::kAborted);
    }
    standby_ = false;
    const uint64_t block = geometry_.logical_block_size;
    command.data.transfer(operation, backend_, where->lba * block, where->sectors * block);
    command.data.work.durable = operation == BlockOperation::kWrite && (durable || !write_cache_);
    set_data(command, data);
}

void AtaDisk::set_data(AtaCommand& command, Data data) const {
    command.dma = data == Data::kDma;
    command.block_bytes = geometry_.logical_block_size * (data == Data::kMultiple ? multiple_ : 1);
}

std::optional<AtaDisk::Extent> AtaDisk::extent(const AtaTaskFile& in, Addressing addressing) const {
    Extent extent;
    if (addressing == Addressing::k48) {
        extent.lba = in.lba & low_mask(48);
        extent.sectors = in.count == 0 ? 0x10000 : in.count;
    } else {
        const uint8_t count = static_cast<uint8_t>(in.count);
        extent.sectors = count == 0 ? 0x100 : count;
        if ((in.device & device::kLba) != 0) {
            extent.lba = (in.lba & low_mask(24)) |
                         static_cast<uint64_t>(in.device & device::kHeadMask) << 24;
        } else {
            const std::optional<uint64_t> lba = chs_to_lba(in);
            if (!lba) return std::nullopt;
            extent.lba = *lba;
        }
    }
    if (extent.lba > sectors() || extent.sectors > sectors() - extent.lba) return std::nullopt;
    return extent;
}

// [ACS-2 B.3]: the sector number is in lba 7:0 and counts from 1, the cylinder in lba 23:8.
std::optional<uint64_t> AtaDisk::chs_to_lba(const AtaTaskFile& in) const {
    const uint64_t sector = in.lba & 0xff, cylinder = in.lba >> 8 & 0xffff;
    const uint64_t head = in.device & device::kHeadMask;
    if (sector == 0 || sector > sectors_per_track_ || head >= heads_) return std::nullopt;
    return (cylinder * heads_ + head) * sectors_per_track_ + sector - 1;
}

void AtaDisk::verify(AtaCommand& command, Addressing addressing) {
    if (!extent(command.taskfile, addressing)) return fail(command, error::kIdNotFound);
    standby_ = false;
}

// [ACS-3 7.24, 7.63]: how many sectors is in features, the tag in count.
bool AtaDisk::begin_queued(AtaCommand& command) {
    const AtaTaskFile& in = command.taskfile;
    if (!options_.serial_ata ||
        (in.command != kReadFpdmaQueued && in.command != kWriteFpdmaQueued)) {
        return false;
    }
    command.queued = true;
    AtaTaskFile plain = in;
    plain.count = in.features;
    const bool writes = in.command == kWriteFpdmaQueued;
    const std::optional<Extent> where = extent(plain, Addressing::k48);
    if (!where || (writes && geometry_.read_only)) {
        fail(command, where ? error::kAborted : error::kIdNotFound);
        queued_error_ = QueuedError{command.tag(), in, command.outcome};
        return true;
    }
    standby_ = false;
    const uint64_t block = geometry_.logical_block_size;
    command.data.transfer(writes ? BlockOperation::kWrite : BlockOperation::kRead, backend_,
                          where->lba * block, where->sectors * block);
    command.data.work.durable =
        writes && ((in.device & device::kForceUnitAccess) != 0 || !write_cache_);
    set_data(command, Data::kDma);
    return true;
}

bool AtaDisk::begin_power(AtaCommand& command) {
    switch (command.taskfile.command) {
        case kStandby:
        case kStandbyOld:
        case kStandbyImmediate:
        case kStandbyImmediateOld:
        case kSleep:
        case kSleepOld:
            standby_ = true;
            command.data.flush(backend_);  // before the medium stops [ACS-3 4.15.4]
            return true;
        case kIdle:
        case kIdleOld:
        case kIdleImmediate:
        case kIdleImmediateOld:
            standby_ = false;
            return true;
        case kCheckPowerMode:
        case kCheckPowerModeOld:
            command.outcome.count = standby_ ? 0x00 : 0xff;
            return true;
        default:
            return false;
    }
}

bool AtaDisk::begin_information(AtaCommand& command) {
    switch (command.taskfile.command) {
        case kIdentifyDevice:
            identify(command);
            return true;
        case kReadLogExt:
        case kReadLogDmaExt:
            read_log(command);
            return true;
        case kSmart:
            smart(command);
            return true;
        case kExecuteDiagnostic:
            command.outcome = signature();
            return true;
        default:
            return false;
    }
}

bool AtaDisk::begin_other(AtaCommand& command) {
    const AtaTaskFile& in = command.taskfile;
    switch (in.command) {
        case kFlushCache:
        case kFlushCacheExt:
            command.data.flush(backend_);
            return true;
        case kReadVerify:
        case kReadVerifyNoRetry:
            verify(command, Addressing::k28);
            return true;
        case kReadVerifyExt:
            verify(command, Addressing::k48);
            return true;
        case kRecalibrate:
        case kSeek:
            return true;
        case kSetFeatures:
            set_features(command);
            return true;
        case kSetMultiple: {
            const uint8_t count = static_cast<uint8_t>(in.count);
            if (count > kMaxMultiple || (count & (count - 1)) != 0) return false;
            multiple_ = count;
            return true;
        }
        case kInitializeParameters:
            set_parameters(command);
            return true;
        case kDataSetManagement:
            // TRIM is the only one there is [ACS-3 7.5.3].
            if (!geometry_.can_discard || geometry_.read_only || in.features != 1) return false;
            if (in.count == 0 || in.count > kMaxTrimBlocks) return false;
            command.data.receive(in.count * uint32_t{512});
            set_data(command, Data::kDma);
            return true;
        default:
            return false;
    }
}

void AtaDisk::set_parameters(AtaCommand& command) {
    const uint8_t sectors_per_track = static_cast<uint8_t>(command.taskfile.count);
    if (sectors_per_track == 0) return fail(command, error::kAborted);
    heads_ = static_cast<uint8_t>((command.taskfile.device & device::kHeadMask) + 1);
    sectors_per_track_ = sectors_per_track;
    cylinders_ = static_cast<uint16_t>(
        std::min<uint64_t>(sectors() / (uint64_t{heads_} * sectors_per_track_), 0xffff));
}

void AtaDisk::set_features(AtaCommand& command) {
    switch (static_cast<uint8_t>(command.taskfile.features)) {
        case set_features::kEnableWriteCache:
            write_cache_ = true;
            return;
        case set_features::kDisableWriteCache:
            write_cache_ = false;
            command.data.flush(backend_);  // what the cache holds [ACS-3 7.45.5]
            return;
        case set_features::kEnableLookAhead:
            look_ahead_ = true;
            return;
        case set_features::kDisableLookAhead:
            look_ahead_ = false;
            return;
        case set_features::kEnableRevert:
            revert_ = true;
            return;
        case set_features::kDisableRevert:
            revert_ = false;
            return;
        case set_features::kSetTransferMode:
            if (set_transfer_mode(static_cast<uint8_t>(command.taskfile.count))) return;
            break;
        default:
            break;
    }
    fail(command, error::kAborted);
}

bool AtaDisk::set_transfer_mode(uint8_t mode) {
    const uint8_t number = mode & 7;
    switch (mode >> 3) {
        case 0:  // PIO, default
            return number <= 1;
        case 1:  // PIO with flow control
            return number <= 4;
        case 4:  // multiword DMA
            if (number > 2) return false;
            break;
        case 8:  // Ultra DMA
            if (number > 6) return false;
            break;
        default:
            return false;
    }
    transfer_mode_ = mode;
    return true;
}

// [ACS-3 7.25]: count pages of 512 bytes of the log in lba 7:0, from the page in lba 39:32 and
// 15:8 on. Both logs have one page.
void AtaDisk::read_log(AtaCommand& command) {
    const AtaTaskFile& in = command.taskfile;
    const uint8_t address = static_cast<uint8_t>(in.lba);
    const uint64_t page = (in.lba >> 8 & 0xff) | (in.lba >> 32 & 0xff) << 8;
    if (in.count != 1 || page != 0) return fail(command, error::kAborted);
    std::array<uint8_t, kLogPageSize> log{};
    if (address == log_page::kDirectory) {
        log[0] = 1;  // version
        log[2 * log_page::kQueuedError] = options_.serial_ata ? 1 : 0;
    } else if (address == log_page::kQueuedError && options_.serial_ata) {
        // [ACS-3 A.11]
        constexpr uint8_t kNoQueuedCommand = 0x80;
        log[0] = kNoQueuedCommand;
        if (queued_error_) {
            const QueuedError& at = *queued_error_;
            log[0] = at.tag;
            log[2] = at.outcome.status;
            log[3] = at.outcome.error;
            for (unsigned i = 0; i < 3; ++i) {
                log[4 + i] = static_cast<uint8_t>(at.taskfile.lba >> (8 * i));
                log[8 + i] = static_cast<uint8_t>(at.taskfile.lba >> (24 + 8 * i));
            }
            log[7] = at.taskfile.device;
            log[12] = static_cast<uint8_t>(at.taskfile.count);
        }
        queued_error_.reset();
        uint8_t sum = 0;
        for (const uint8_t byte : log) sum = static_cast<uint8_t>(sum + byte);
        log[511] = static_cast<uint8_t>(-sum);
    } else {
        return fail(command, error::kAborted);
    }
    command.data.send(log);
    command.dma = in.command == kReadLogDmaExt;
    command.block_bytes = kLogPageSize;
}

void AtaDisk::packet(AtaCommand& command, std::span<const uint8_t, kPacketSize>) {
    fail(command, error::kAborted);  // begin() never asks for one
}

// The ranges of TRIM: the first sector in 47:0, how many in 63:48 [ACS-3 7.5.3.2].
void AtaDisk::received(AtaCommand& command) {
    MediumWork& work = command.data.work;
    const uint64_t block = geometry_.logical_block_size;
    work.ranges.clear();
    for (size_t at = 0; at + 8 <= command.data.buffer.size(); at += 8) {
        const auto entry = load_unaligned<uint64_t>(command.data.buffer.data() + at);
        const uint64_t lba = entry & low_mask(48), count = entry >> 48;
        if (count == 0) continue;
        if (lba > sectors() || count > sectors() - lba) return fail(command, error::kIdNotFound);
        // Neighbours become one.
        if (!work.ranges.empty() &&
            work.ranges.back().offset + work.ranges.back().size == lba * block) {
            work.ranges.back().size += count * block;
        } else {
            work.ranges.push_back({lba * block, count * block});
        }
    }
    if (work.ranges.empty()) return;
    work.operation = BlockOperation::kDiscard;
    work.backend = &backend_;
}

void AtaDisk::finish(AtaCommand& command, BlockStatus status) {
    if (status == BlockStatus::kOk) return;
    const bool discard = command.data.work.operation == BlockOperation::kDiscard;
    // A hint that the host cannot follow is no failure.
    if (discard && status == BlockStatus::kUnsupported) return;
    const bool read = command.data.work.operation == BlockOperation::kRead;
    command.outcome.status = status::kIdle | status::kError;
    command.outcome.error = read ? error::kUncorrectable : error::kAborted;
    if (!read) command.outcome.status |= status::kFault;
    if (command.queued && !queued_error_) {
        queued_error_ = QueuedError{command.tag(), command.taskfile, command.outcome};
    }
}

}  // namespace mynah
