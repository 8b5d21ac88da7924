#pragma once

#include <cstdint>
#include <vector>

#include "memory/guest_memory.h"

// Where things are on the micro board: a PC without firmware ROM, PCI and video. The ports are
// those every PC has; a guest learns of the rest by ACPI.

namespace mynah::micro {

inline constexpr uint64_t kVideoHole = 0xa0000, kVideoHoleEnd = 0xe0000;  // no RAM in between
inline constexpr uint64_t kMmioHole = 0xc0000000;                         // 3 GiB: no RAM ...
inline constexpr uint64_t kMmioHoleEnd = 0x100000000;                     // ... to here

inline constexpr uint64_t kIoApic = 0xfec00000, kLocalApic = 0xfee00000;
inline constexpr uint64_t kVirtioMmio = 0xfeb00000;  // slots of virtio::mmio::kRegionSize
inline constexpr uint32_t kFirstVirtioGsi = 16, kVirtioGsis = 8;

inline constexpr uint16_t kPicMaster = 0x20, kPicSlave = 0xa0, kPicElcr = 0x4d0;
inline constexpr uint16_t kPit = 0x40, kPortB = 0x61;
inline constexpr uint16_t kKeyboardData = 0x60, kKeyboardCommand = 0x64;
inline constexpr uint16_t kRtc = 0x70;
inline constexpr uint16_t kPostCode = 0x80;
inline constexpr uint16_t kPortA = 0x92;
inline constexpr uint16_t kPowerManagement = 0x600;
inline constexpr uint16_t kResetControl = 0xcf9;

inline constexpr unsigned kKeyboardIrq = 1, kRtcIrq = 8, kSciIrq = 9, kMouseIrq = 12;

// COM3 and COM4 have requests of their own: an edge-triggered line cannot be shared.
struct ComPort {
    uint16_t port;
    uint8_t irq;
};
inline constexpr ComPort kComPorts[] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 5}, {0x2e8, 7}};

// The RAM ranges of a machine with so many bytes of memory: below the hole, the rest above 4 GiB.
std::vector<GuestMemory::Range> ram_ranges(uint64_t memory_bytes);

}  // namespace mynah::micro
