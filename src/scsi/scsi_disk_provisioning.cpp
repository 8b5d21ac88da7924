// Blocks that lose their storage, and blocks that all become the same.

#include <algorithm>

#include "scsi/scsi_disk.h"
#include "spec/scsi/commands.h"

namespace mynah {

using namespace scsi;

namespace {

constexpr size_t kUnmapHeader = 8, kUnmapDescriptor = 16;  // bytes [SBC-3 5.28.2]
constexpr uint8_t kAnchor = 0x10, kUnmapBit = 0x08, kNoDataOut = 0x01;

bool all_zero(std::span<const uint8_t> bytes) {
    return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

// [SBC-3 5.28]
Sense ScsiDisk::begin_unmap(Cdb cdb, DataPhase& data) {
    if (!thin_) return kSenseInvalidOpcode;
    if ((cdb[1] & 1) != 0) return kSenseInvalidField;  // nothing can be anchored
    const uint64_t size = big_endian(cdb, 7, 2);
    if (size == 0) return kSenseNone;
    if (size < kUnmapHeader) return kSenseParameterListLength;
    data.receive(static_cast<uint32_t>(size));
    return kSenseNone;
}

Sense ScsiDisk::unmap(DataPhase& data) {
    const Bytes list(data.buffer);
    const uint64_t bytes = std::min<uint64_t>(big_endian(list, 2, 2), list.size() - kUnmapHeader);
    const uint64_t count = bytes / kUnmapDescriptor;
    if (count > kMaxUnmapDescriptors) return kSenseInvalidParameter;
    const uint64_t block_size = geometry_.logical_block_size;
    uint64_t total = 0;
    MediumWork work;
    work.operation = BlockOperation::kDiscard;
    work.backend = &backend_;
    for (uint64_t i = 0; i < count; ++i) {
        const Bytes one = list.subspan(kUnmapHeader + i * kUnmapDescriptor, kUnmapDescriptor);
        const uint64_t block = big_endian(one, 0, 8), blocks = big_endian(one, 8, 4);
        if (!within(block, blocks)) return kSenseLbaOutOfRange;
        total += blocks;
        if (blocks != 0) work.ranges.push_back({block * block_size, blocks * block_size});
    }
    if (total > geometry_.max_discard_size / block_size) return kSenseInvalidParameter;
    if (!work.ranges.empty()) data.work = std::move(work);
    return kSenseNone;
}

// [SBC-3 5.41, 5.43]
Sense ScsiDisk::begin_write_same(Cdb cdb, DataPhase& data) {
    const bool sixteen = cdb[0] == kWriteSame16;
    if ((cdb[1] & (0xe0 | kAnchor)) != 0) return kSenseInvalidField;
    if ((cdb[1] & kUnmapBit) != 0 && !thin_) return kSenseInvalidField;
    const uint64_t block = sixteen ? big_endian(cdb, 2, 8) : big_endian(cdb, 2, 4);
    const uint64_t count = sixteen ? big_endian(cdb, 10, 4) : big_endian(cdb, 7, 2);
    if (count == 0 || count > kMaxWriteSame / geometry_.logical_block_size)
        return kSenseInvalidField;
    if (!within(block, count)) return kSenseLbaOutOfRange;
    if (sixteen && (cdb[1] & kNoDataOut) != 0) {
        data.buffer.assign(geometry_.logical_block_size, 0);
        return write_same(cdb, data);
    }
    data.receive(geometry_.logical_block_size);
    return kSenseNone;
}

Sense ScsiDisk::write_same(Cdb cdb, DataPhase& data) {
    const bool sixteen = cdb[0] == kWriteSame16;
    const uint64_t block_size = geometry_.logical_block_size;
    const uint64_t block = sixteen ? big_endian(cdb, 2, 8) : big_endian(cdb, 2, 4);
    const uint64_t count = sixteen ? big_endian(cdb, 10, 4) : big_endian(cdb, 7, 2);
    data.work.backend = &backend_;
    data.work.ranges.assign(1, {block * block_size, count * block_size});
    data.work.durable = !write_cache_;
    if (geometry_.can_write_zeroes && all_zero(data.buffer)) {
        data.work.operation = BlockOperation::kWriteZeroes;
        data.work.may_unmap = (cdb[1] & kUnmapBit) != 0;
        return kSenseNone;
    }
    // Copies of the block side by side, up to the size of a pattern.
    const uint64_t copies = std::min(std::max<uint64_t>(kPattern / block_size, 1), count);
    const std::vector<uint8_t> one = data.buffer;
    data.buffer.clear();
    for (uint64_t i = 0; i < copies; ++i)
        data.buffer.insert(data.buffer.end(), one.begin(), one.end());
    data.work.operation = BlockOperation::kWrite;
    data.repeats_buffer = true;
    return kSenseNone;
}

}  // namespace mynah
