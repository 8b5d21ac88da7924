#pragma once

#include <cstddef>
#include <cstdint>

// The messages of vhost-user, by which a device's rings are handed to another process over a Unix
// socket [vhost-user, "Message Specification"]. Native byte order. The names are the document's of
// 2022 and later: the *front end* has the guest, the *back end* runs the rings.
namespace mynah::vhost_user {

struct Header {
    uint32_t request;
    uint32_t flags;
    uint32_t size;  // bytes of payload that follow
};
static_assert(sizeof(Header) == 12);

inline constexpr uint32_t kVersion = 1, kVersionMask = 3;  // of flags
inline constexpr uint32_t kFlagReply = 4, kFlagNeedReply = 8;

enum class Request : uint32_t {
    kNone = 0,
    kGetFeatures = 1,
    kSetFeatures = 2,
    kSetOwner = 3,
    kResetOwner = 4,
    kSetMemTable = 5,
    kSetLogBase = 6,
    kSetLogFd = 7,
    kSetVringNum = 8,
    kSetVringAddr = 9,
    kSetVringBase = 10,
    kGetVringBase = 11,
    kSetVringKick = 12,
    kSetVringCall = 13,
    kSetVringErr = 14,
    kGetProtocolFeatures = 15,
    kSetProtocolFeatures = 16,
    kGetQueueNum = 17,
    kSetVringEnable = 18,
    kSendRarp = 19,
    kNetSetMtu = 20,
    kSetBackendReqFd = 21,
    kGetConfig = 24,
    kSetConfig = 25,
    kGetInflightFd = 31,
    kSetInflightFd = 32,
    kResetDevice = 34,
    kGetMaxMemSlots = 36,
    kAddMemReg = 37,
    kRemMemReg = 38,
    kSetStatus = 39,
    kGetStatus = 40,
};

// What a back end asks, over a socket of its own.
enum class BackendRequest : uint32_t {
    kConfigChange = 2,
    kVringCall = 4,
    kVringErr = 5,
};

// The bit of a device's features that says that there are protocol features.
inline constexpr uint64_t kFeatureProtocol = uint64_t{1} << 30;
// Asks the back end to log writes to memory; ring addresses come with a log address.
inline constexpr uint64_t kFeatureLogAll = uint64_t{1} << 26;

// Protocol features ["Protocol features"].
inline constexpr uint64_t kProtocolMq = 1u << 0;
inline constexpr uint64_t kProtocolLogShmfd = 1u << 1;
inline constexpr uint64_t kProtocolRarp = 1u << 2;
inline constexpr uint64_t kProtocolReplyAck = 1u << 3;
inline constexpr uint64_t kProtocolMtu = 1u << 4;
inline constexpr uint64_t kProtocolBackendReq = 1u << 5;
inline constexpr uint64_t kProtocolConfig = 1u << 9;
inline constexpr uint64_t kProtocolInflightShmfd = 1u << 12;
inline constexpr uint64_t kProtocolResetDevice = 1u << 13;
inline constexpr uint64_t kProtocolConfigureMemSlots = 1u << 15;
inline constexpr uint64_t kProtocolStatus = 1u << 16;

struct VringState {
    uint32_t index;
    uint32_t value;
};

struct VringAddress {
    uint32_t index;
    uint32_t flags;
    uint64_t descriptors, used, available;  // the front end's own addresses
    uint64_t log;
};
static_assert(sizeof(VringAddress) == 40);
inline constexpr uint32_t kVringLog = 1;

// The payload of kSetVringKick, kSetVringCall and kSetVringErr.
inline constexpr uint64_t kVringIndexMask = 0xff;
inline constexpr uint64_t kVringNoFd = 0x100;

struct MemoryRegion {
    uint64_t guest_address;
    uint64_t size;
    uint64_t user_address;  // in the front end
    uint64_t mmap_offset;   // in the file
};
static_assert(sizeof(MemoryRegion) == 32);
inline constexpr uint32_t kMaxTableRegions = 8;

struct MemoryTable {
    uint32_t count;
    uint32_t padding;
    MemoryRegion regions[kMaxTableRegions];
};
inline constexpr size_t kMemoryTableHeader = 8;

struct SingleRegion {
    uint64_t padding;
    MemoryRegion region;
};

struct ConfigHeader {
    uint32_t offset;
    uint32_t size;
    uint32_t flags;
};
inline constexpr uint32_t kMaxConfig = 256;  // bytes of configuration in a message

struct LogArea {
    uint64_t size;
    uint64_t offset;
};

struct Inflight {
    uint64_t mmap_size;
    uint64_t mmap_offset;
    uint16_t queues;
    uint16_t queue_size;
};
inline constexpr size_t kInflightSize = 20;  // of its 24 bytes are sent

// No message that Mynah knows is longer, nor has more descriptors.
inline constexpr uint32_t kMaxPayload = 512;
inline constexpr size_t kMaxFds = kMaxTableRegions;

}  // namespace mynah::vhost_user
