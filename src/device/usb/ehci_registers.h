#pragma once

// Registers and schedules of an EHCI host controller [EHCI 1.0 2, 3].

#include <cstdint>

#include "base/bits.h"

namespace mynah::ehci {

inline constexpr uint32_t kWindowSize = 1024;
inline constexpr uint32_t kOperational = 0x20;

// Capability registers [2.2].
inline constexpr uint32_t kCapLength = 0x00, kHcsParams = 0x04, kHccParams = 0x08;
inline constexpr uint32_t kVersion = 0x0100;
inline constexpr uint32_t kLegacySupport = 0x68;  // EECP: in configuration space

// Operational registers [2.3], relative to kOperational.
inline constexpr uint32_t kUsbCommand = 0x00, kUsbStatus = 0x04, kInterruptEnable = 0x08,
                          kFrameIndex = 0x0c, kSegment = 0x10, kPeriodicBase = 0x14,
                          kAsyncAddress = 0x18, kConfigFlag = 0x40, kPorts = 0x44;
// USBCMD [2.3.1].
inline constexpr uint32_t kRun = 1 << 0, kHostReset = 1 << 1, kPeriodicEnable = 1 << 4,
                          kAsyncEnable = 1 << 5, kAsyncDoorbell = 1 << 6;
inline constexpr uint32_t kThreshold = 0xff << 16;
inline constexpr uint32_t kUsbCommandKept = kRun | kPeriodicEnable | kAsyncEnable | kThreshold;
// USBSTS [2.3.2].
inline constexpr uint32_t kInterrupt = 1 << 0, kErrorInterrupt = 1 << 1, kPortChange = 1 << 2,
                          kFrameRollover = 1 << 3, kSystemError = 1 << 4, kAsyncAdvance = 1 << 5,
                          kHalted = 1 << 12, kPeriodicStatus = 1 << 14, kAsyncStatus = 1 << 15;
inline constexpr uint32_t kStatusClearable = 0x3f;
// PORTSC [2.3.9].
inline constexpr uint32_t kConnected = 1 << 0, kConnectChange = 1 << 1, kPortEnabled = 1 << 2,
                          kEnableChange = 1 << 3, kOverCurrentChange = 1 << 5,
                          kForceResume = 1 << 6, kSuspend = 1 << 7, kPortReset = 1 << 8,
                          kLineK = 1 << 10, kLineJ = 1 << 11, kPortPower = 1 << 12,
                          kPortOwner = 1 << 13;
inline constexpr uint32_t kIndicator = 3 << 14, kWakeBits = 7 << 20;
inline constexpr uint32_t kPortChanges = kConnectChange | kEnableChange | kOverCurrentChange;

// Link pointers [3.1].
inline constexpr uint32_t kTerminate = 1 << 0;
using LinkType = Field<uint32_t, 2, 1>;
enum : uint32_t { kIsochronousTd = 0, kQueueHead = 1, kSplitTd = 2, kSpanNode = 3 };
inline constexpr uint32_t kLinkAddress = ~uint32_t{0x1f};

// Queue element transfer descriptor [3.5], and the overlay in a queue head.
struct Transfer {
    uint32_t next;
    uint32_t alternate;
    uint32_t token;
    uint32_t buffers[5];
};
static_assert(sizeof(Transfer) == 32);
inline constexpr uint32_t kPingState = 1 << 0, kTransactionError = 1 << 3, kBabble = 1 << 4,
                          kBufferError = 1 << 5, kQueueHalted = 1 << 6, kActive = 1 << 7;
inline constexpr uint32_t kStatusBits = 0xff;
using TokenPid = Field<uint32_t, 9, 8>;
enum : uint32_t { kPidOut = 0, kPidIn = 1, kPidSetup = 2 };
using TokenErrors = Field<uint32_t, 11, 10>;
using TokenPage = Field<uint32_t, 14, 12>;
inline constexpr uint32_t kOnCompletion = 1 << 15;
using TokenBytes = Field<uint32_t, 30, 16>;
inline constexpr uint32_t kToggle = 1u << 31;
inline constexpr uint32_t kPages = 5;
inline constexpr uint32_t kMaxBytes = kPages * 4096;

// Queue head [3.6].
struct QueueHead {
    uint32_t horizontal;
    uint32_t characteristics;
    uint32_t capabilities;
    uint32_t current;
    Transfer overlay;
};
static_assert(sizeof(QueueHead) == 48);
inline constexpr uint64_t kOverlayAt = 16, kCurrentAt = 12;
using QueueAddress = Field<uint32_t, 6, 0>;
using QueueEndpoint = Field<uint32_t, 11, 8>;
using QueueSpeed = Field<uint32_t, 13, 12>;
inline constexpr uint32_t kHighSpeed = 2;
inline constexpr uint32_t kToggleControl = 1 << 14;
inline constexpr uint32_t kReclamationHead = 1 << 15;
using QueueStartMask = Field<uint32_t, 7, 0>;  // capabilities: which microframes

}  // namespace mynah::ehci
