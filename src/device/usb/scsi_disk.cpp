#include "device/usb/scsi_disk.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/check.h"
#include "spec/scsi/commands.h"

namespace mynah {

using namespace scsi;
using namespace scsi::disk;

namespace {

using Cdb = std::span<const uint8_t, 16>;

// SCSI is big endian.
uint64_t get(Cdb cdb, unsigned at, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) value = value << 8 | cdb[at + i];
    return value;
}

constexpr uint8_t kForceUnitAccess = 0x08;  // in byte 1 of reads and writes

}  // namespace

ScsiDisk::ScsiDisk(const BlockGeometry& geometry, Identity identity, bool removable)
    : geometry_(geometry),
      blocks_(geometry.size / geometry.logical_block_size),
      identity_(std::move(identity)),
      removable_(removable) {
    CHECK(blocks_ > 0);
}

ScsiDisk::Plan ScsiDisk::fail(Sense sense) {
    sense_ = sense;
    Plan plan;
    plan.kind = Plan::Kind::kFailed;
    return plan;
}

ScsiDisk::Plan ScsiDisk::answer(std::vector<uint8_t> bytes, uint64_t allocated) {
    if (bytes.size() > allocated) bytes.resize(allocated);
    Plan plan;
    plan.kind = bytes.empty() ? Plan::Kind::kGood : Plan::Kind::kAnswer;
    plan.size = bytes.size();
    plan.answer = std::move(bytes);
    return plan;
}

ScsiDisk::Plan ScsiDisk::test_range(uint64_t block, uint64_t count) {
    if (block > blocks_ || count > blocks_ - block) return fail(kSenseLbaOutOfRange);
    return {};
}

ScsiDisk::Plan ScsiDisk::transfer(Plan::Kind kind, uint64_t block, uint64_t count, bool durable) {
    if (kind == Plan::Kind::kWrite && geometry_.read_only) return fail(kSenseWriteProtected);
    Plan plan = test_range(block, count);
    if (plan.kind != Plan::Kind::kGood || count == 0) return plan;
    plan.kind = kind;
    plan.offset = block * geometry_.logical_block_size;
    plan.size = count * geometry_.logical_block_size;
    plan.durable = durable;
    return plan;
}

ScsiDisk::Plan ScsiDisk::begin(std::span<const uint8_t> command, uint8_t lun) {
    std::array<uint8_t, 16> bytes{};
    std::copy_n(command.begin(), std::min(command.size(), bytes.size()), bytes.begin());
    const Cdb cdb(bytes);
    const uint8_t opcode = cdb[0];
    if (opcode == kRequestSense) {
        std::vector<uint8_t> data = sense_data();
        sense_ = kSenseNone;
        return answer(std::move(data), cdb[4]);
    }
    // A unit that is not there answers an inquiry, and says so [SPC-4 5.8].
    if (lun != 0 && opcode != kInquiry && opcode != kReportLuns) return fail(kSenseLunNotSupported);
    if (lun != 0 && opcode == kInquiry) {
        std::vector<uint8_t> nobody(36);
        nobody[0] = 0x7f;
        nobody[4] = 31;
        return answer(std::move(nobody), get(cdb, 3, 2));
    }
    sense_ = kSenseNone;
    using Kind = Plan::Kind;
    switch (opcode) {
        case kTestUnitReady:
        case kStartStopUnit:
        case kPreventAllowMediumRemoval:
            return {};
        case kInquiry:
            return inquiry(cdb);
        case kModeSense6:
        case kModeSense10:
            return mode_sense(cdb);
        case kModeSelect6:
        case kModeSelect10: {
            Plan plan;
            plan.size = opcode == kModeSelect6 ? cdb[4] : get(cdb, 7, 2);
            plan.kind = plan.size == 0 ? Kind::kGood : Kind::kAccept;
            if ((cdb[1] & 1) != 0) return fail(kSenseInvalidField);  // nothing can be saved
            return plan;
        }
        case kReadFormatCapacities:
            return answer(format_capacities(), get(cdb, 7, 2));
        case kReadCapacity10:
            return read_capacity10();
        case kServiceActionIn16:
            return read_capacity16(cdb);
        case kReportLuns:
            return answer({0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, get(cdb, 6, 4));
        case kSynchronizeCache10:
        case kSynchronizeCache16: {
            Plan plan;
            plan.kind = geometry_.read_only ? Kind::kGood : Kind::kSync;
            return plan;
        }
        default:
            return begin_transfer(cdb);
    }
}

// Commands that name blocks.
ScsiDisk::Plan ScsiDisk::begin_transfer(Cdb cdb) {
    const uint8_t opcode = cdb[0];
    const bool durable = (cdb[1] & kForceUnitAccess) != 0;
    using Kind = Plan::Kind;
    switch (opcode) {
        case kRead6:
        case kWrite6: {
            const uint64_t count = cdb[4] == 0 ? 256 : cdb[4];
            return transfer(opcode == kRead6 ? Kind::kRead : Kind::kWrite,
                            get(cdb, 1, 3) & 0x1fffff, count, false);
        }
        case kRead10:
            return transfer(Kind::kRead, get(cdb, 2, 4), get(cdb, 7, 2), durable);
        case kWrite10:
            return transfer(Kind::kWrite, get(cdb, 2, 4), get(cdb, 7, 2), durable);
        case kRead12:
            return transfer(Kind::kRead, get(cdb, 2, 4), get(cdb, 6, 4), durable);
        case kWrite12:
            return transfer(Kind::kWrite, get(cdb, 2, 4), get(cdb, 6, 4), durable);
        case kRead16:
            return transfer(Kind::kRead, get(cdb, 2, 8), get(cdb, 10, 4), durable);
        case kWrite16:
            return transfer(Kind::kWrite, get(cdb, 2, 8), get(cdb, 10, 4), durable);
        case kVerify10:
        case kVerify16:
            // Comparing with data of the host is not offered.
            if ((cdb[1] & 6) != 0) return fail(kSenseInvalidField);
            return opcode == kVerify10 ? test_range(get(cdb, 2, 4), get(cdb, 7, 2))
                                       : test_range(get(cdb, 2, 8), get(cdb, 10, 4));
        default:
            return fail(kSenseInvalidOpcode);
    }
}

bool ScsiDisk::accept(std::span<const uint8_t>) {
    // No mode parameter can be changed [SBC-3 6.4]; a driver that sends back what it read is fine.
    return true;
}

bool ScsiDisk::finish(Plan::Kind kind, BlockStatus status) {
    switch (status) {
        case BlockStatus::kOk:
            return true;
        case BlockStatus::kNoSpace:
            sense_ = kSenseSpaceExhausted;
            return false;
        case BlockStatus::kReadOnly:
            sense_ = kSenseWriteProtected;
            return false;
        case BlockStatus::kIoError:
        case BlockStatus::kUnsupported:
            break;
    }
    sense_ = kind == Plan::Kind::kRead ? kSenseUnrecoveredRead : kSenseWriteError;
    return false;
}

// Fixed format, current errors [SPC-4 4.5.3].
std::vector<uint8_t> ScsiDisk::sense_data() const {
    std::vector<uint8_t> data(18);
    data[0] = 0x70;
    data[2] = sense_.key;
    data[7] = 10;
    data[12] = sense_.code;
    data[13] = sense_.qualifier;
    return data;
}

}  // namespace mynah
