#include <algorithm>
#include <bit>

#include "base/bits.h"
#include "device/storage/ata_disk.h"
#include "device/storage/identify_block.h"

namespace mynah {

namespace {

// Bit 14 set and bit 15 clear: the word is valid [ACS-3 7.12].
constexpr uint16_t kValid = 0x4000;

// Words 82 to 87 [ACS-3 7.12.7.36 to 41].
constexpr uint16_t kSmart = 1 << 0, kPowerManagement = 1 << 3, kWriteCache = 1 << 5,
                   kLookAhead = 1 << 6;
constexpr uint16_t kLba48 = 1 << 10, kFlush = 1 << 12, kFlushExt = 1 << 13;
constexpr uint16_t kSmartErrorLog = 1 << 0, kSmartSelfTest = 1 << 1, kLogs = 1 << 5,
                   kWriteFua = 1 << 6, kWorldWideName = 1 << 8;

constexpr uint64_t kMaxLba28 = 0x0fffffff;

uint16_t mode_bits(uint8_t selected, uint8_t family, uint16_t supported) {
    const unsigned number = selected & 7;
    const bool ours = selected >> 3 == family;
    return static_cast<uint16_t>(supported | (ours ? 1u << (8 + number) : 0));
}

}  // namespace

void AtaDisk::identify(AtaCommand& command) const {
    IdentifyBlock id;
    id.word(0, 0x0040);  // not removable
    id.text(10, 10, options_.serial);
    id.text(23, 4, options_.firmware);
    id.text(27, 20, options_.model);
    id.word(47, 0x8000 | kMaxMultiple);
    id.word(48, kValid);
    id.word(50, kValid);
    id.word(53, 0x0007);  // words 54 to 58, 64 to 70 and 88 are valid
    id.word(59, static_cast<uint16_t>(multiple_ != 0 ? 0x0100 | multiple_ : 0));
    id.word(80, 0x07f0);  // ATA/ATAPI-4 to ACS-3
    if (geometry_.can_discard && !geometry_.read_only) {
        id.word(105, kMaxTrimBlocks);
        id.word(169, 0x0001);
    }
    id.word(217, 1);  // does not rotate
    describe_size(id);
    describe_transfers(id);
    describe_features(id);
    command.data.send(id.bytes());
    command.block_bytes = ata::kIdentifySize;
}

void AtaDisk::describe_size(IdentifyBlock& id) const {
    id.word(1, static_cast<uint16_t>(std::min<uint64_t>(sectors() / (16 * 63), 16383)));
    id.word(3, 16);
    id.word(6, 63);
    id.word(54, cylinders_);
    id.word(55, heads_);
    id.word(56, sectors_per_track_);
    id.dword(57, uint32_t{cylinders_} * heads_ * sectors_per_track_);
    id.dword(60, static_cast<uint32_t>(std::min(sectors(), kMaxLba28)));
    id.qword(100, sectors());
    const uint32_t block = geometry_.logical_block_size;
    const uint32_t per_physical = std::max<uint32_t>(geometry_.physical_block_size / block, 1);
    uint16_t sizes = kValid;
    if (per_physical > 1) {
        sizes |= static_cast<uint16_t>(0x2000 | (std::bit_width(per_physical) - 1));
    }
    if (block > 512) {
        sizes |= 0x1000;
        id.dword(117, block / 2);  // words
    }
    id.word(106, sizes);
}

void AtaDisk::describe_transfers(IdentifyBlock& id) const {
    id.word(49, 0x2f00);  // standby timers as in the standard, IORDY, LBA, DMA
    id.word(51, 0x0200);
    id.word(63, mode_bits(transfer_mode_, 4, 0x0007));
    id.word(64, 0x0003);                                  // PIO modes 3 and 4
    for (unsigned i = 65; i <= 68; ++i) id.word(i, 120);  // cycle times, ns
    id.word(88, mode_bits(transfer_mode_, 8, 0x007f));
    if (options_.serial_ata) {
        id.word(75, kQueueDepth - 1);
        id.word(76, 0x010e);   // NCQ; generations 1, 2 and 3
        id.word(77, 3 << 1);   // the link runs at generation 3
        id.word(222, 0x107f);  // serial: SATA 1.0a to 3.1
    } else {
        // A parallel drive found an 80-conductor cable and is the only or first device.
        id.word(93, kValid | 0x2001);
    }
}

void AtaDisk::describe_features(IdentifyBlock& id) const {
    const auto enabled =
        static_cast<uint16_t>((smart_enabled_ ? kSmart : 0) | kPowerManagement |
                              (write_cache_ ? kWriteCache : 0) | (look_ahead_ ? kLookAhead : 0));
    const auto logs =
        static_cast<uint16_t>(kValid | kSmartErrorLog | kSmartSelfTest | kLogs | kWriteFua |
                              (options_.world_wide_name != 0 ? kWorldWideName : 0));
    id.word(82, kSmart | kPowerManagement | kWriteCache | kLookAhead);
    id.word(83, kValid | kLba48 | kFlush | kFlushExt);
    id.word(84, logs);
    id.word(85, enabled);
    id.word(86, kLba48 | kFlush | kFlushExt);
    id.word(87, logs);
    if (options_.world_wide_name == 0) return;
    for (unsigned i = 0; i < 4; ++i) {
        id.word(108 + i, static_cast<uint16_t>(options_.world_wide_name >> (48 - 16 * i)));
    }
}

}  // namespace mynah
