// What a disk says about itself: inquiry, vital product data, capacity.

#include <algorithm>
#include <bit>
#include <limits>

#include "scsi/scsi_disk.h"
#include "spec/scsi/commands.h"
#include "spec/scsi/direct_access.h"

namespace mynah {

using namespace scsi;
using namespace scsi::disk;

namespace {

constexpr uint64_t kMost32 = std::numeric_limits<uint32_t>::max();

// FNV-1a: the same for the same text everywhere, which is all that is asked of it.
uint64_t hash(std::string_view text) {
    uint64_t value = 0xcbf29ce484222325;
    for (const char c : text) value = (value ^ static_cast<uint8_t>(c)) * 0x100000001b3;
    return value;
}

}  // namespace

Sense ScsiDisk::inquiry(Cdb cdb, DataPhase& data) {
    const uint64_t limit = big_endian(cdb, 3, 2);
    ByteWriter answer;
    if ((cdb[1] & 1) != 0) {
        answer.u8(kTypeDirectAccess);
        answer.u8(cdb[2]);
        answer.u16(0);  // length, filled in below
        if (!append_vital_page(cdb[2], answer)) return kSenseInvalidField;
        answer.put16(2, answer.size() - 4);
        data.send(answer.bytes(), limit);
        return kSenseNone;
    }
    if (cdb[2] != 0) return kSenseInvalidField;
    answer.u8(kTypeDirectAccess);
    answer.u8(options_.removable ? 0x80 : 0);
    answer.u8(6);   // SPC-4
    answer.u8(2);   // format of this data
    answer.u8(31);  // bytes that follow
    answer.u16(0);
    answer.u8(options_.queued ? 0x02 : 0);
    answer.text(options_.vendor, 8);
    answer.text(options_.product, 16);
    answer.text("1.0", 4);
    data.send(answer.bytes(), limit);
    return kSenseNone;
}

bool ScsiDisk::append_vital_page(uint8_t page, ByteWriter& to) const {
    switch (page) {
        case kVpdSupported:
            for (const uint8_t each : {kVpdSupported, kVpdSerial, kVpdIdentification,
                                       kVpdBlockLimits, kVpdCharacteristics})
                to.u8(each);
            if (thin_) to.u8(kVpdProvisioning);
            return true;
        case kVpdSerial:
            to.text(options_.serial, std::clamp<size_t>(options_.serial.size(), 1, 64));
            return true;
        case kVpdIdentification:
            append_identification(to);
            return true;
        case kVpdBlockLimits:
            append_block_limits(to);
            return true;
        case kVpdCharacteristics:
            to.u16(1);  // a medium that does not rotate
            to.zeroes(58);
            return true;
        case kVpdProvisioning:  // [SBC-3 6.5.4]
            if (!thin_) return false;
            to.u8(0);
            // UNMAP, WRITE SAME (16) and (10) unmap; what blocks without storage read is not said.
            to.u8(0xe0);
            to.u8(2);  // thin provisioned
            to.u8(0);
            return true;
        default:
            return false;
    }
}

// Two designators [SPC-4 7.8.6]: vendor, product and serial in ASCII; and a number for systems that
// know disks only by one, NAA locally assigned.
void ScsiDisk::append_identification(ByteWriter& to) const {
    const size_t serial = std::min<size_t>(options_.serial.size(), 64);
    to.u8(2);
    to.u8(1);
    to.u8(0);
    to.u8(24 + serial);
    to.text(options_.vendor, 8);
    to.text(options_.product, 16);
    to.text(options_.serial, serial);
    constexpr uint64_t kNaaLocal = uint64_t{3} << 60;
    to.u8(1);
    to.u8(3);
    to.u8(0);
    to.u8(8);
    to.u64(kNaaLocal | (hash(options_.vendor + options_.product + options_.serial) >> 4));
}

uint64_t ScsiDisk::unmap_granularity() const {
    return std::max<uint64_t>(geometry_.discard_alignment / geometry_.logical_block_size, 1);
}

// [SBC-3 6.5.3]
void ScsiDisk::append_block_limits(ByteWriter& to) const {
    const uint64_t block = geometry_.logical_block_size;
    const bool same = options_.provisioning && !geometry_.read_only;
    to.u8(same ? 1 : 0);  // WRITE SAME of 0 blocks is refused
    to.u8(0);             // COMPARE AND WRITE
    to.u16(
        std::min<uint64_t>(std::max<uint64_t>(geometry_.physical_block_size / block, 1), 0xffff));
    to.u32(0);  // the longest transfer: not limited
    to.u32(0);
    to.u32(0);
    to.u32(thin_ ? std::min(geometry_.max_discard_size / block, kMost32) : 0);
    to.u32(thin_ ? kMaxUnmapDescriptors : 0);
    to.u32(thin_ ? std::min(unmap_granularity(), kMost32) : 0);
    to.u32(thin_ ? 0x80000000 : 0);  // aligned to block 0
    to.u64(same ? kMaxWriteSame / block : 0);
    to.zeroes(20);
}

Sense ScsiDisk::read_capacity10(Cdb, DataPhase& data) {
    ByteWriter answer;
    answer.u32(std::min(blocks_ - 1, kMost32));
    answer.u32(geometry_.logical_block_size);
    data.send(answer.bytes());
    return kSenseNone;
}

Sense ScsiDisk::read_capacity16(Cdb cdb, DataPhase& data) {
    const uint32_t per_physical =
        std::max<uint32_t>(geometry_.physical_block_size / geometry_.logical_block_size, 1);
    ByteWriter answer;
    answer.u64(blocks_ - 1);
    answer.u32(geometry_.logical_block_size);
    answer.u8(0);
    answer.u8(std::min<unsigned>(static_cast<unsigned>(std::bit_width(per_physical)) - 1u, 15));
    answer.u8(thin_ ? 0x80 : 0);  // LBPME
    answer.zeroes(17);
    data.send(answer.bytes(), big_endian(cdb, 10, 4));
    return kSenseNone;
}

// One descriptor: formatted medium of this capacity [MMC-6 6.24.3.3].
Sense ScsiDisk::read_format_capacities(Cdb cdb, DataPhase& data) {
    ByteWriter answer;
    answer.u32(8);
    answer.u32(std::min(blocks_, kMost32));
    answer.u8(2);
    answer.u24(geometry_.logical_block_size);
    data.send(answer.bytes(), big_endian(cdb, 7, 2));
    return kSenseNone;
}

}  // namespace mynah
