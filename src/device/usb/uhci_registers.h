#pragma once

// Registers and schedule of a UHCI host controller [UHCI 1.1 2, 3].

#include <cstdint>

#include "base/bits.h"

namespace mynah::uhci {

inline constexpr uint32_t kWindowSize = 32;
inline constexpr uint32_t kUsbCommand = 0x00, kUsbStatus = 0x02, kInterruptEnable = 0x04,
                          kFrameNumber = 0x06, kFrameListBase = 0x08, kStartOfFrame = 0x0c,
                          kPorts = 0x10;

// USBCMD [2.1.1].
inline constexpr uint16_t kRun = 1 << 0, kHostReset = 1 << 1, kGlobalReset = 1 << 2,
                          kGlobalSuspend = 1 << 3, kGlobalResume = 1 << 4;
// USBSTS [2.1.2].
inline constexpr uint16_t kInterrupt = 1 << 0, kErrorInterrupt = 1 << 1, kResumeDetect = 1 << 2,
                          kSystemError = 1 << 3, kProcessError = 1 << 4, kHalted = 1 << 5;
// USBINTR [2.1.3].
inline constexpr uint16_t kEnableError = 1 << 0, kEnableResume = 1 << 1, kEnableCompletion = 1 << 2,
                          kEnableShort = 1 << 3;
// PORTSC [2.1.7].
inline constexpr uint16_t kConnected = 1 << 0, kConnectChange = 1 << 1, kPortEnabled = 1 << 2,
                          kEnableChange = 1 << 3, kLineDPlus = 1 << 4, kLineDMinus = 1 << 5,
                          kPortResume = 1 << 6, kPortAlwaysOne = 1 << 7, kLowSpeed = 1 << 8,
                          kPortReset = 1 << 9, kPortSuspend = 1 << 12;
inline constexpr uint16_t kPortKept = kPortEnabled | kPortResume | kPortReset | kPortSuspend;

// Link pointers [3.1].
inline constexpr uint32_t kTerminate = 1 << 0, kQueue = 1 << 1, kDepthFirst = 1 << 2;
inline constexpr uint32_t kLinkAddress = ~uint32_t{0xf};

// Transfer descriptor [3.2].
struct TransferDescriptor {
    uint32_t link;
    uint32_t control;
    uint32_t token;
    uint32_t buffer;
};
using ActualLength = Field<uint32_t, 10, 0>;
inline constexpr uint32_t kTimeout = 1 << 18, kNak = 1 << 19, kBabble = 1 << 20,
                          kBufferError = 1 << 21, kStalled = 1 << 22, kActive = 1 << 23,
                          kOnCompletion = 1 << 24, kIsochronous = 1 << 25, kShortDetect = 1 << 29;
inline constexpr uint32_t kStatusBits = 0x007e0000;
using ErrorCount = Field<uint32_t, 28, 27>;
using TokenPid = Field<uint32_t, 7, 0>;
using TokenAddress = Field<uint32_t, 14, 8>;
using TokenEndpoint = Field<uint32_t, 18, 15>;
using TokenLength = Field<uint32_t, 31, 21>;  // less one
inline constexpr uint32_t kPidIn = 0x69, kPidOut = 0xe1, kPidSetup = 0x2d;
inline constexpr uint32_t kMaxLength = 1280;

// Queue head [3.3].
struct QueueHead {
    uint32_t head;
    uint32_t element;
};

}  // namespace mynah::uhci
