#include "scsi/scsi_disk.h"

#include <algorithm>

#include "base/check.h"
#include "scsi/scsi_disk_commands.h"
#include "spec/scsi/commands.h"
#include "spec/scsi/direct_access.h"

namespace mynah {

using namespace scsi;
using namespace scsi::disk;

namespace {

constexpr uint8_t kForceUnitAccess = 0x08;  // in byte 1 of reads and writes

std::array<uint8_t, 16> whole(std::span<const uint8_t> cdb) {
    std::array<uint8_t, 16> bytes{};
    std::copy_n(cdb.begin(), std::min(cdb.size(), bytes.size()), bytes.begin());
    return bytes;
}

// The blocks a command names, by the length of its descriptor block.
struct Extent {
    uint64_t block, count;
};
Extent extent(std::span<const uint8_t, 16> cdb) {
    switch (cdb_size(cdb[0])) {
        case 6:  // 0 blocks are 256 [SBC-3 5.6]
            return {big_endian(cdb, 1, 3) & 0x1fffff, cdb[4] == 0 ? 256u : cdb[4]};
        case 10:
            return {big_endian(cdb, 2, 4), big_endian(cdb, 7, 2)};
        case 12:
            return {big_endian(cdb, 2, 4), big_endian(cdb, 6, 4)};
        default:
            return {big_endian(cdb, 2, 8), big_endian(cdb, 10, 4)};
    }
}

}  // namespace

ScsiDisk::ScsiDisk(BlockBackend& backend, ScsiDiskOptions options)
    : backend_(backend),
      geometry_(backend.geometry()),
      blocks_(geometry_.size / geometry_.logical_block_size),
      options_(std::move(options)),
      thin_(options_.provisioning && geometry_.can_discard && !geometry_.read_only),
      write_cache_(options_.write_cache) {
    CHECK(blocks_ > 0);
    reset();
}

void ScsiDisk::reset() {
    last_ = kSenseNone;
    write_cache_ = options_.write_cache;
    attentions_.clear();
    attend(kSensePowerOn);
}

void ScsiDisk::attend(Sense attention) {
    if (!options_.attentions) return;
    if (std::ranges::find(attentions_, attention) == attentions_.end())
        attentions_.push_back(attention);
}

bool ScsiDisk::has(const Command& command) const {
    return !command.provisioning || (options_.provisioning && !geometry_.read_only);
}

Sense ScsiDisk::execute(std::span<const uint8_t> command, DataPhase& data) {
    const auto bytes = whole(command);
    const Cdb cdb(bytes);
    data.clear();
    if (cdb[0] == kRequestSense) return request_sense(cdb, data);
    // An inquiry is answered whatever there is to be told [SAM-5 5.14].
    if (cdb[0] != kInquiry && !attentions_.empty()) {
        last_ = attentions_.front();
        attentions_.erase(attentions_.begin());
        return last_;
    }
    const Command* const found = find(cdb[0], cdb[1] & 0x1f);
    if (found == nullptr || !has(*found)) {
        // Another service action of a known operation code [SPC-4 4.3.5.2].
        last_ = has_service_actions(cdb[0]) ? kSenseInvalidField : kSenseInvalidOpcode;
    } else {
        last_ = (this->*found->begin)(cdb, data);
    }
    if (last_ != kSenseNone) data.clear();
    return last_;
}

Sense ScsiDisk::received(std::span<const uint8_t> command, DataPhase& data) {
    const auto bytes = whole(command);
    const Cdb cdb(bytes);
    switch (cdb[0]) {
        case kModeSelect6:
        case kModeSelect10:
            last_ = mode_select(cdb, data.buffer);
            break;
        case kUnmap:
            last_ = unmap(data);
            break;
        case kWriteSame10:
        case kWriteSame16:
            last_ = write_same(cdb, data);
            break;
        default:
            last_ = kSenseNone;
            break;
    }
    return last_;
}

Sense ScsiDisk::request_sense(Cdb cdb, DataPhase& data) {
    // An attention is told here, too, and is over then [SPC-4 6.39].
    if (last_ == kSenseNone && !attentions_.empty()) {
        last_ = attentions_.front();
        attentions_.erase(attentions_.begin());
    }
    const auto told = fixed_sense(last_);
    last_ = kSenseNone;
    data.send(told, cdb[4]);
    return kSenseNone;
}

Sense ScsiDisk::nothing(Cdb, DataPhase&) { return kSenseNone; }

bool ScsiDisk::within(uint64_t block, uint64_t count) const {
    return block <= blocks_ && count <= blocks_ - block;
}

Sense ScsiDisk::transfer(Cdb cdb, DataPhase& data) {
    const bool reads =
        cdb[0] == kRead6 || cdb[0] == kRead10 || cdb[0] == kRead12 || cdb[0] == kRead16;
    const bool verifies =
        cdb[0] == kWriteAndVerify10 || cdb[0] == kWriteAndVerify12 || cdb[0] == kWriteAndVerify16;
    if (verifies && (cdb[1] & 0x06) != 0) return kSenseInvalidField;  // comparing is not offered
    const auto [block, count] = extent(cdb);
    if (!reads && geometry_.read_only) return kSenseWriteProtected;
    if (!within(block, count)) return kSenseLbaOutOfRange;
    if (count == 0) return kSenseNone;
    data.transfer(reads ? BlockOperation::kRead : BlockOperation::kWrite, backend_,
                  block * geometry_.logical_block_size, count * geometry_.logical_block_size);
    // What was verified was read from the medium; without a cache all writes go there.
    const bool forced = cdb_size(cdb[0]) != 6 && !verifies && (cdb[1] & kForceUnitAccess) != 0;
    data.work.durable = !reads && (forced || verifies || !write_cache_);
    return kSenseNone;
}

Sense ScsiDisk::verify(Cdb cdb, DataPhase&) {
    if ((cdb[1] & 0x06) != 0) return kSenseInvalidField;  // comparing is not offered
    const auto [block, count] = extent(cdb);
    return within(block, count) ? kSenseNone : kSenseLbaOutOfRange;
}

Sense ScsiDisk::synchronize(Cdb cdb, DataPhase& data) {
    const auto [block, count] = extent(cdb);
    if (!within(block, count)) return kSenseLbaOutOfRange;
    if (!geometry_.read_only) data.flush(backend_);
    return kSenseNone;
}

Sense ScsiDisk::finish(const DataPhase& data, BlockStatus status) {
    switch (status) {
        case BlockStatus::kOk:
            return kSenseNone;  // last_ may be another command's
        case BlockStatus::kNoSpace:
            last_ = kSenseSpaceExhausted;
            break;
        case BlockStatus::kReadOnly:
            last_ = kSenseWriteProtected;
            break;
        case BlockStatus::kIoError:
        case BlockStatus::kUnsupported:
            last_ = data.work.operation == BlockOperation::kRead ? kSenseUnrecoveredRead
                                                                 : kSenseWriteError;
            break;
    }
    return last_;
}

}  // namespace mynah
