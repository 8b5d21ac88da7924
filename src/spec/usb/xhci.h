#pragma once

// What an xHCI host controller and its driver share in memory [xHCI 1.1 6].

#include <cstdint>

#include "base/bits.h"

namespace mynah::usb::xhci {

// Transfer request block [xHCI 1.1 4.11]: an element of every ring.
struct Trb {
    uint64_t parameter;
    uint32_t status;
    uint32_t control;
};
static_assert(sizeof(Trb) == 16);

// Control word, common fields.
inline constexpr uint32_t kCycle = 1 << 0;
inline constexpr uint32_t kToggleCycle = 1 << 1;       // of a link
inline constexpr uint32_t kInterruptOnShort = 1 << 2;  // of transfers
inline constexpr uint32_t kEventData = 1 << 2;         // of a transfer event
inline constexpr uint32_t kChain = 1 << 4;
inline constexpr uint32_t kInterruptOnCompletion = 1 << 5;
inline constexpr uint32_t kImmediateData = 1 << 6;
inline constexpr uint32_t kBlockSetAddress = 1 << 9;      // of an address command
inline constexpr uint32_t kDeconfigure = 1 << 9;          // of a configure command
inline constexpr uint32_t kBlockEventInterrupt = 1 << 9;  // of transfers
inline constexpr uint32_t kDirectionIn = 1 << 16;         // of data and status stages
using TrbType = Field<uint32_t, 15, 10>;
using TrbEndpoint = Field<uint32_t, 20, 16>;
using TrbSlot = Field<uint32_t, 31, 24>;
// Status word of transfers and events.
using TransferLength = Field<uint32_t, 16, 0>;
using InterrupterTarget = Field<uint32_t, 31, 22>;
using EventLength = Field<uint32_t, 23, 0>;
using EventCode = Field<uint32_t, 31, 24>;

// [xHCI 1.1 table 131]
enum Type : uint8_t {
    kNormal = 1,
    kSetupStage = 2,
    kDataStage = 3,
    kStatusStage = 4,
    kIsoch = 5,
    kLink = 6,
    kEventDataTrb = 7,
    kNoOp = 8,
    kEnableSlot = 9,
    kDisableSlot = 10,
    kAddressDevice = 11,
    kConfigureEndpoint = 12,
    kEvaluateContext = 13,
    kResetEndpoint = 14,
    kStopEndpoint = 15,
    kSetTrDequeue = 16,
    kResetDevice = 17,
    kGetPortBandwidth = 21,
    kNoOpCommand = 23,
    kTransferEvent = 32,
    kCommandCompletion = 33,
    kPortStatusChange = 34,
};

// Completion codes [xHCI 1.1 table 130].
enum Code : uint8_t {
    kSuccess = 1,
    kDataBufferError = 2,
    kBabbleDetected = 3,
    kTransactionError = 4,
    kTrbError = 5,
    kStallError = 6,
    kResourceError = 7,
    kNoSlotsAvailable = 9,
    kSlotNotEnabled = 11,
    kEndpointNotEnabled = 12,
    kShortPacket = 13,
    kParameterError = 17,
    kContextStateError = 19,
    kCommandRingStopped = 24,
    kStopped = 26,
};

// Contexts are eight words; HCCPARAMS1.CSZ is 0 [xHCI 1.1 6.2].
inline constexpr uint64_t kContextSize = 32;
struct Context {
    uint32_t words[8];
};
static_assert(sizeof(Context) == kContextSize);

// Slot context [xHCI 1.1 6.2.2].
using SlotRoute = Field<uint32_t, 19, 0>;         // word 0
using SlotSpeed = Field<uint32_t, 23, 20>;        // word 0
using SlotEntries = Field<uint32_t, 31, 27>;      // word 0
using SlotExitLatency = Field<uint32_t, 15, 0>;   // word 1
using SlotRootPort = Field<uint32_t, 23, 16>;     // word 1
using SlotInterrupter = Field<uint32_t, 31, 22>;  // word 2
using SlotAddress = Field<uint32_t, 7, 0>;        // word 3
using SlotState = Field<uint32_t, 31, 27>;        // word 3
enum : uint32_t { kSlotEnabled = 0, kSlotDefault = 1, kSlotAddressed = 2, kSlotConfigured = 3 };

// Endpoint context [xHCI 1.1 6.2.3].
using EndpointState = Field<uint32_t, 2, 0>;         // word 0
using EndpointStreams = Field<uint32_t, 14, 10>;     // word 0
using EndpointKind = Field<uint32_t, 5, 3>;          // word 1
using EndpointPacketSize = Field<uint32_t, 31, 16>;  // word 1
inline constexpr uint64_t kDequeueCycle = 1;         // word 2
inline constexpr uint64_t kDequeueMask = ~uint64_t{0xf};
enum : uint32_t {
    kEndpointDisabled = 0,
    kEndpointRunning = 1,
    kEndpointHalted = 2,
    kEndpointStopped = 3,
    kEndpointError = 4
};
// Endpoint types.
enum : uint32_t {
    kKindIsochOut = 1,
    kKindBulkOut = 2,
    kKindInterruptOut = 3,
    kKindControl = 4,
    kKindIsochIn = 5,
    kKindBulkIn = 6,
    kKindInterruptIn = 7
};

// An entry of the event ring segment table [xHCI 1.1 6.5].
struct RingSegment {
    uint64_t base;
    uint32_t size;  // bits 15:0, TRBs
    uint32_t reserved;
};
static_assert(sizeof(RingSegment) == 16);

}  // namespace mynah::usb::xhci
