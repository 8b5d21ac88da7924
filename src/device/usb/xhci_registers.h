#pragma once

// Registers of an xHCI host controller [xHCI 1.1 5], and where this one has them in its BAR.

#include <cstdint>

#include "base/bits.h"

namespace mynah::xhci_registers {

inline constexpr uint32_t kWindowSize = 0x10000;
inline constexpr uint32_t kOperational = 0x40;
inline constexpr uint32_t kPorts = kOperational + 0x400;
inline constexpr uint32_t kPortStride = 0x10;
inline constexpr uint32_t kRuntime = 0x1000;
inline constexpr uint32_t kInterrupters = kRuntime + 0x20;
inline constexpr uint32_t kInterrupterStride = 0x20;
inline constexpr uint32_t kDoorbells = 0x2000;
inline constexpr uint32_t kMsixTable = 0x3000;
inline constexpr uint32_t kMsixPending = 0x3800;
inline constexpr uint32_t kExtended = 0x8000;

// Capability registers [5.3].
inline constexpr uint32_t kCapLength = 0x00, kHcsParams1 = 0x04, kHcsParams2 = 0x08,
                          kHcsParams3 = 0x0c, kHccParams1 = 0x10, kDoorbellOffset = 0x14,
                          kRuntimeOffset = 0x18, kHccParams2 = 0x1c;
inline constexpr uint32_t kVersion = 0x0110;
inline constexpr uint32_t kAddresses64 = 1 << 0;         // HCCPARAMS1.AC64
inline constexpr uint32_t kNoSecondaryStreams = 1 << 7;  // HCCPARAMS1.NSS
inline constexpr unsigned kSegmentTableExponent = 4;     // HCSPARAMS2.ERST Max: 16 segments

// Operational registers [5.4], relative to kOperational.
inline constexpr uint32_t kUsbCommand = 0x00, kUsbStatus = 0x04, kPageSizeRegister = 0x08,
                          kNotificationControl = 0x14, kCommandRing = 0x18, kContextArray = 0x30,
                          kConfigure = 0x38;
// USBCMD [5.4.1].
inline constexpr uint32_t kRun = 1 << 0, kHcReset = 1 << 1, kInterruptEnable = 1 << 2,
                          kHostErrorEnable = 1 << 3, kSaveState = 1 << 8, kRestoreState = 1 << 9,
                          kWrapEvent = 1 << 10;
inline constexpr uint32_t kUsbCommandKept = kRun | kInterruptEnable | kHostErrorEnable | kWrapEvent;
// USBSTS [5.4.2].
inline constexpr uint32_t kHalted = 1 << 0, kHostSystemError = 1 << 2, kEventInterrupt = 1 << 3,
                          kPortChange = 1 << 4, kSaveRestoreError = 1 << 10;
inline constexpr uint32_t kStatusClearable =
    kHostSystemError | kEventInterrupt | kPortChange | kSaveRestoreError;
// CRCR [5.4.5].
inline constexpr uint32_t kRingCycle = 1 << 0, kCommandStop = 1 << 1, kCommandAbort = 1 << 2,
                          kCommandRunning = 1 << 3, kCommandRingPointer = ~0x3fu;
using SlotsEnabled = Field<uint32_t, 7, 0>;  // CONFIG [5.4.7]

// PORTSC [5.4.8].
inline constexpr uint32_t kConnected = 1u << 0, kPortEnabled = 1u << 1, kPortReset = 1u << 4,
                          kPortPower = 1u << 9, kLinkWriteStrobe = 1u << 16,
                          kConnectChange = 1u << 17, kEnableChange = 1u << 18,
                          kWarmResetChange = 1u << 19, kOverCurrentChange = 1u << 20,
                          kResetChange = 1u << 21, kLinkChange = 1u << 22,
                          kConfigErrorChange = 1u << 23, kWakeBits = 7u << 25,
                          kWarmReset = 1u << 31;
inline constexpr uint32_t kIndicator = 3u << 14;
inline constexpr uint32_t kPortChanges = kConnectChange | kEnableChange | kWarmResetChange |
                                         kOverCurrentChange | kResetChange | kLinkChange |
                                         kConfigErrorChange;
using PortLink = Field<uint32_t, 8, 5>;
using PortSpeed = Field<uint32_t, 13, 10>;
// Link states.
enum : uint32_t {
    kLinkU0 = 0,
    kLinkU2 = 2,
    kLinkU3 = 3,
    kLinkDisabled = 4,
    kLinkRxDetect = 5,
    kLinkPolling = 7,
    kLinkResume = 15
};
// Registers of a port.
inline constexpr uint32_t kPortStatus = 0x0, kPortPowerManagement = 0x4, kPortLinkInfo = 0x8,
                          kPortHardwareLpm = 0xc;

// Registers of an interrupter [5.5.2].
inline constexpr uint32_t kManagement = 0x00, kModeration = 0x04, kTableSize = 0x08,
                          kTableBase = 0x10, kDequeuePointer = 0x18;
inline constexpr uint32_t kPending = 1 << 0, kEnabled = 1 << 1;  // IMAN
inline constexpr uint32_t kHandlerBusy = 1 << 3;                 // ERDP.EHB

}  // namespace mynah::xhci_registers
