#pragma once

#include <cstdint>

// The firmware configuration device [fw_cfg].
namespace mynah::fw_cfg {

// Ports, from the first one: 510h on a PC.
inline constexpr unsigned kSelector = 0, kData = 1, kDma = 4, kPorts = 12;

enum Key : uint16_t {
    kSignature = 0x00,
    kId = 0x01,
    kUuid = 0x02,
    kRamSize = 0x03,
    kNoGraphic = 0x04,
    kProcessors = 0x05,
    kMachineId = 0x06,
    kKernelAddress = 0x07,
    kKernelSize = 0x08,
    kKernelCommandLine = 0x09,
    kInitrdAddress = 0x0a,
    kInitrdSize = 0x0b,
    kBootDevice = 0x0c,
    kNuma = 0x0d,
    kBootMenu = 0x0e,
    kMaxProcessors = 0x0f,
    kKernelEntry = 0x10,
    kKernelData = 0x11,
    kInitrdData = 0x12,
    kCommandLineAddress = 0x13,
    kCommandLineSize = 0x14,
    kCommandLineData = 0x15,
    kSetupAddress = 0x16,
    kSetupSize = 0x17,
    kSetupData = 0x18,
    kFileDirectory = 0x19,
    kFirstFile = 0x20,
};
inline constexpr uint16_t kWriteChannel = 1u << 14;  // in the selector: legacy, nothing is written
inline constexpr uint16_t kArchitectureLocal = 1u << 15;
inline constexpr unsigned kMaxFiles = 0x100;
inline constexpr unsigned kMaxFileName = 55;  // and a zero

inline constexpr uint32_t kFeatures = 1u << 0 | 1u << 1;       // ports, DMA
inline constexpr uint64_t kDmaSignature = 0x51454d5520434647;  // "QEMU CFG", big-endian

// What DMA does; big-endian in memory.
struct DmaAccess {
    uint32_t control;
    uint32_t length;
    uint64_t address;
};
static_assert(sizeof(DmaAccess) == 16);
namespace dma {
inline constexpr uint32_t kError = 1u << 0, kRead = 1u << 1, kSkip = 1u << 2, kSelect = 1u << 3,
                          kWrite = 1u << 4;
inline constexpr unsigned kKeyShift = 16;
}  // namespace dma

// One entry of the directory; big-endian.
struct File {
    uint32_t size;
    uint16_t key;
    uint16_t reserved;
    char name[kMaxFileName + 1];
};
static_assert(sizeof(File) == 64);

}  // namespace mynah::fw_cfg
