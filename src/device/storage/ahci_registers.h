#pragma once

#include <cstddef>
#include <cstdint>

// Registers and memory structures of the Advanced Host Controller Interface [AHCI 1.3.1 3, 4].
namespace mynah::ahci {

// Generic host control [AHCI 3.1].
inline constexpr uint32_t kCap = 0x00, kGhc = 0x04, kIs = 0x08, kPi = 0x0c, kVs = 0x10,
                          kCap2 = 0x24, kBohc = 0x28;
inline constexpr uint32_t kPorts = 0x100, kPortSize = 0x80;

inline constexpr uint32_t kVersion131 = 0x00010301;
inline constexpr unsigned kSlots = 32;

namespace cap {
inline constexpr unsigned kSlotsShift = 8, kSpeedShift = 20;
inline constexpr uint32_t kAhciOnly = 1u << 18, kCommandListOverride = 1u << 24,
                          kStaggeredSpinUp = 1u << 27, kQueuing = 1u << 30, k64Bit = 1u << 31;
}  // namespace cap
namespace ghc {
inline constexpr uint32_t kReset = 1u << 0, kInterruptEnable = 1u << 1, kAhciEnable = 1u << 31;
}

// Port registers [AHCI 3.3].
inline constexpr uint32_t kClb = 0x00, kClbu = 0x04, kFb = 0x08, kFbu = 0x0c, kPxIs = 0x10,
                          kPxIe = 0x14, kPxCmd = 0x18, kTfd = 0x20, kSig = 0x24, kSsts = 0x28,
                          kSctl = 0x2c, kSerr = 0x30, kSact = 0x34, kCi = 0x38;

inline constexpr uint32_t kClbMask = ~uint32_t{0x3ff}, kFbMask = ~uint32_t{0xff};

namespace is {  // and the same bits of PxIE [AHCI 3.3.5]
inline constexpr uint32_t kDeviceToHost = 1u << 0, kPioSetup = 1u << 1, kSetDeviceBits = 1u << 3,
                          kDescriptor = 1u << 5, kConnectChange = 1u << 6, kPhyReady = 1u << 22,
                          kOverflow = 1u << 24, kInterfaceFatal = 1u << 27, kBusFatal = 1u << 29,
                          kTaskFileError = 1u << 30;
inline constexpr uint32_t kClearable = kDeviceToHost | kPioSetup | kSetDeviceBits | kDescriptor |
                                       kOverflow | kInterfaceFatal | kBusFatal | kTaskFileError;
inline constexpr uint32_t kEnables = 0xfdc000ff;
}  // namespace is

namespace cmd {
inline constexpr uint32_t kStart = 1u << 0, kSpinUp = 1u << 1, kPowerOn = 1u << 2,
                          kOverride = 1u << 3, kFisEnable = 1u << 4, kFisRunning = 1u << 14,
                          kListRunning = 1u << 15, kAtapi = 1u << 24, kAtapiLed = 1u << 25;
inline constexpr unsigned kSlotShift = 8;
inline constexpr uint32_t kWritable = kStart | kFisEnable | kAtapi | kAtapiLed;
}  // namespace cmd

namespace sstatus {  // device present, generation 3, interface active [AHCI 3.3.10]
inline constexpr uint32_t kOffline = 0x4, kConnected = 0x103;
inline constexpr unsigned kSpeedShift = 4;
inline constexpr uint32_t kFastest = 3;
}  // namespace sstatus
namespace sctl {
inline constexpr uint32_t kDetection = 0xf, kInitialize = 1, kDisable = 4, kWritable = 0xfff;
inline constexpr unsigned kSpeedShift = 4;
}  // namespace sctl
namespace serr {
inline constexpr uint32_t kPhyReady = 1u << 16, kExchanged = 1u << 26;
}

inline constexpr uint32_t kNoSignature = 0xffffffff;
inline constexpr uint8_t kNoDeviceStatus = 0x7f;

// A command header [AHCI 4.2.2].
struct CommandHeader {
    uint16_t flags;
    uint16_t prdtl;  // descriptors in the table
    uint32_t prdbc;  // bytes moved; written back
    uint64_t table;
    uint32_t reserved[4];
};
static_assert(sizeof(CommandHeader) == 32);
namespace header {
inline constexpr uint16_t kFisLength = 0x1f, kAtapi = 1 << 5, kWrite = 1 << 6, kClearBusy = 1 << 10;
}

// A command table: the FIS, the packet, the descriptors [AHCI 4.2.3].
inline constexpr uint32_t kTablePacket = 0x40, kTableDescriptors = 0x80;
struct Descriptor {
    uint64_t base;
    uint32_t reserved;
    uint32_t count;  // bytes less one in 21:0; interrupt on completion in 31
};
static_assert(sizeof(Descriptor) == 16);
inline constexpr uint32_t kDescriptorCount = 0x3fffff, kDescriptorInterrupt = 1u << 31;

// Where received FISes are put [AHCI 4.2.1].
inline constexpr uint32_t kReceivedPioSetup = 0x20, kReceivedDeviceToHost = 0x40,
                          kReceivedSetDeviceBits = 0x58;

// Frame information structures [SATA 3.1 10.5].
namespace fis {
inline constexpr uint8_t kHostToDevice = 0x27, kDeviceToHost = 0x34, kPioSetup = 0x5f,
                         kSetDeviceBits = 0xa1;
inline constexpr uint8_t kIsCommand = 0x80;  // byte 1, from the host
inline constexpr uint8_t kInterrupt = 0x40, kToHost = 0x20;
}  // namespace fis

}  // namespace mynah::ahci
