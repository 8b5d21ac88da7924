#pragma once

#include <cstdint>
#include <vector>

#include "bus/pci/pci_address.h"
#include "memory/guest_memory.h"

// Where things are on the PC board: a Q35 and ICH9. Firmware finds most of it at fixed places.

namespace mynah::pc {

// RAM below 4 GiB ends here, or at kLowMemory if there is that much: above are the ECAM window and
// the space of PCI devices, as firmwares for this chipset lay them out.
inline constexpr uint64_t kLowMemoryLimit = 0xb0000000, kLowMemory = 0x80000000;
inline constexpr uint64_t kFourGib = 0x100000000;
// With so much memory there is room for PCI devices within 40 bits of address.
inline constexpr uint64_t kMemoryOf40Bits = uint64_t{512} << 30;

// Memory that is not RAM: firmware, and what devices take (video memory, option ROMs).
inline constexpr uint64_t kFirmwareLimit = uint64_t{16} << 20;
inline constexpr uint64_t kDeviceMemory = uint64_t{160} << 20;
inline constexpr uint64_t kBlockBytes = kFirmwareLimit + kDeviceMemory;

inline constexpr uint64_t kShadowStart = 0xc0000, kShadowBytes = 0x40000;
inline constexpr uint64_t kIoApic = 0xfec00000, kHpet = 0xfed00000, kLocalApic = 0xfee00000;
inline constexpr uint64_t kFixedChipsEnd = 0xfef00000;  // no memory from the I/O APIC to here
// The last address that PCI devices get below 4 GiB, less one.
inline constexpr uint64_t kPciMemoryEnd = 0xfec00000;

inline constexpr uint16_t kDmaLow = 0x00, kDmaPages = 0x81, kDmaHigh = 0xc0;
inline constexpr uint16_t kPicMaster = 0x20, kPicSlave = 0xa0, kPicElcr = 0x4d0;
inline constexpr uint16_t kPit = 0x40, kPortB = 0x61;
inline constexpr uint16_t kKeyboardData = 0x60, kKeyboardCommand = 0x64;
inline constexpr uint16_t kRtc = 0x70;
inline constexpr uint16_t kPostCode = 0x80;
inline constexpr uint16_t kPortA = 0x92;
inline constexpr uint16_t kApm = 0xb2;
inline constexpr uint16_t kDebugConsole = 0x402;
inline constexpr uint16_t kPvpanic = 0x505;
inline constexpr uint16_t kFirmwareConfig = 0x510;
inline constexpr uint16_t kPciConfig = 0xcf8;
inline constexpr uint16_t kResetControl = 0xcf9;

inline constexpr uint16_t kVgaPorts = 0x3b0, kVgaPortCount = 0x30;
inline constexpr uint16_t kDispiPorts = 0x1ce, kDispiPortCount = 4;
inline constexpr uint64_t kVgaWindow = 0xa0000, kVgaWindowBytes = 0x20000;

inline constexpr unsigned kKeyboardIrq = 1, kRtcIrq = 8, kSciIrq = 9, kMouseIrq = 12;
inline constexpr unsigned kIdeIrqs[] = {14, 15};

struct ComPort {
    uint16_t port;
    uint8_t irq;
};
inline constexpr ComPort kComPorts[] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 5}, {0x2e8, 7}};

// Slots on bus 0. Devices 25 to 31 are the ICH9's; the rest is free for cards.
inline constexpr PciSlot kHostBridge{0, 0};
inline constexpr PciSlot kDisplay{1, 0};
inline constexpr PciSlot kFirstCard{2, 0};  // cards in the order of the command line
inline constexpr unsigned kLastCard = 24;  // without that of kXhci
inline constexpr PciSlot kUsb{29, 0};  // UHCI in functions 0 to 2, EHCI in 7
inline constexpr PciSlot kXhci{20, 0};
inline constexpr unsigned kRootPortDevice = 28;  // functions 0 to 5
inline constexpr unsigned kRootPorts = 4;
inline constexpr PciSlot kLpc{31, 0};
inline constexpr PciSlot kIde{31, 1};
inline constexpr PciSlot kSata{31, 2};

// The RAM ranges of a machine with so many bytes of memory: from 0, and the rest from 4 GiB on.
std::vector<GuestMemory::Range> ram_ranges(uint64_t memory_bytes);

}  // namespace mynah::pc
