#pragma once

#include <cstddef>
#include <cstdint>

// Registers of an IDE channel and of the PIIX3's bus master [ATA8-APT 5, PIIX3 2.5, 2.6].
namespace mynah::ide {

// The command block, offsets from the first port; reading has other meanings than writing.
inline constexpr unsigned kData = 0, kError = 1, kFeatures = 1, kCount = 2, kLbaLow = 3,
                          kLbaMid = 4, kLbaHigh = 5, kDevice = 6, kStatus = 7, kCommand = 7;

// Where the channels of a PC are, and how many ports [PIIX3 3.1.5].
struct ChannelPorts {
    uint16_t command_block, control_block;
};
inline constexpr ChannelPorts kLegacyPorts[] = {{0x1f0, 0x3f6}, {0x170, 0x376}};
inline constexpr unsigned kCommandPorts = 8, kControlPorts = 1;

// Registers of the bus master, from the channel's first on [PIIX3 2.6].
inline constexpr unsigned kBmCommand = 0, kBmStatus = 2, kBmTable = 4, kBmChannelSize = 8;
namespace bm_command {
inline constexpr uint8_t kStart = 0x01, kToMemory = 0x08;
}
namespace bm_status {
inline constexpr uint8_t kActive = 0x01, kError = 0x02, kInterrupt = 0x04, kDriveCapable = 0x60;
}

// A physical region descriptor [PIIX3 2.6.3].
struct Region {
    uint32_t base;
    uint32_t count;  // bytes in 15:1, 0 means 64 KiB; last one in 31
};
inline constexpr uint32_t kRegionCount = 0xfffe, kRegionLast = 1u << 31;
// A table must not cross 64 KiB.
inline constexpr unsigned kMostRegions = 0x10000 / sizeof(Region);

// Configuration space: IDE timing, one for each channel [PIIX3 2.3.9].
inline constexpr unsigned kTiming = 0x40, kSlaveTiming = 0x44;
inline constexpr uint16_t kTimingDecode = 0x8000;

}  // namespace mynah::ide
