#pragma once

#include <cstdint>

// Registers of the MMIO transport, version 2 [virtio-1.2 4.2.2]. All are 32 bits wide and
// accessed as such; device configuration starts at kConfig and takes any width.
namespace mynah::virtio::mmio {

inline constexpr uint64_t kRegionSize = 0x200;  // what one device occupies on our boards

inline constexpr uint32_t kMagic = 0x74726976;  // "virt"
inline constexpr uint32_t kVersion = 2;
inline constexpr uint32_t kVendor = 0x484e594d;  // "MYNH"

enum Register : uint64_t {
    kMagicValue = 0x000,         // R
    kVersionNumber = 0x004,      // R
    kDeviceId = 0x008,           // R
    kVendorId = 0x00c,           // R
    kDeviceFeatures = 0x010,     // R: 32 bits chosen by kDeviceFeaturesSel
    kDeviceFeaturesSel = 0x014,  // W
    kDriverFeatures = 0x020,     // W
    kDriverFeaturesSel = 0x024,  // W
    kQueueSel = 0x030,           // W
    kQueueNumMax = 0x034,        // R
    kQueueNum = 0x038,           // W
    kQueueReady = 0x044,         // RW
    kQueueNotify = 0x050,        // W
    kInterruptStatus = 0x060,    // R
    kInterruptAck = 0x064,       // W
    kStatus = 0x070,             // RW
    kQueueDescLow = 0x080,       // W
    kQueueDescHigh = 0x084,      // W
    kQueueDriverLow = 0x090,     // W: the available ring
    kQueueDriverHigh = 0x094,    // W
    kQueueDeviceLow = 0x0a0,     // W: the used ring
    kQueueDeviceHigh = 0x0a4,    // W
    kShmSel = 0x0ac,             // W
    kShmLenLow = 0x0b0,          // R
    kShmLenHigh = 0x0b4,         // R
    kShmBaseLow = 0x0b8,         // R
    kShmBaseHigh = 0x0bc,        // R
    kQueueReset = 0x0c0,         // RW
    kConfigGeneration = 0x0fc,   // R
    kConfig = 0x100,             // RW, any width
};

// kInterruptStatus and kInterruptAck.
inline constexpr uint32_t kInterruptUsedBuffer = 1;
inline constexpr uint32_t kInterruptConfigChange = 2;

}  // namespace mynah::virtio::mmio
