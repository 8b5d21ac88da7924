#pragma once

#include <cstdint>

#include "base/bits.h"

// The IOMMU device [virtio-1.2 5.13]. All fields are little-endian.
namespace mynah::virtio::iommu {

// Queues [virtio-1.2 5.13.2].
inline constexpr uint16_t kRequestQueue = 0, kEventQueue = 1;

// Feature bits [virtio-1.2 5.13.3].
inline constexpr uint64_t kFeatureInputRange = bit(0);
inline constexpr uint64_t kFeatureDomainRange = bit(1);
inline constexpr uint64_t kFeatureMapUnmap = bit(2);
inline constexpr uint64_t kFeatureProbe = bit(4);
inline constexpr uint64_t kFeatureBypassConfig = bit(6);

// Device configuration [virtio-1.2 5.13.4].
struct Config {
    uint64_t page_size_mask;
    uint64_t input_start, input_end;
    uint32_t domain_start, domain_end;
    uint32_t probe_size;
    uint8_t bypass;  // may be written with BYPASS_CONFIG
    uint8_t reserved[3];
};
static_assert(sizeof(Config) == 40);

// Requests [virtio-1.2 5.13.6.2]: a head, the fields of its type, and a tail that the device
// writes.
enum Type : uint8_t { kAttach = 1, kDetach = 2, kMap = 3, kUnmap = 4, kProbe = 5 };
enum Status : uint8_t {
    kOk = 0,
    kIoError = 1,
    kUnsupported = 2,
    kDeviceError = 3,
    kInvalid = 4,
    kRange = 5,
    kNoEntry = 6,
    kFault = 7,
    kNoMemory = 8,
};

struct Head {
    uint8_t type;
    uint8_t reserved[3];
};
struct Tail {
    uint8_t status;
    uint8_t reserved[3];
};

inline constexpr uint32_t kAttachBypass = 1;
struct Attach {
    uint32_t domain;
    uint32_t endpoint;
    uint32_t flags;
    uint8_t reserved[4];
};
static_assert(sizeof(Attach) == 16);
struct Detach {
    uint32_t domain;
    uint32_t endpoint;
    uint8_t reserved[8];
};
static_assert(sizeof(Detach) == 16);

inline constexpr uint32_t kMapRead = 1, kMapWrite = 2;
struct [[gnu::packed]] Map {
    uint32_t domain;
    uint64_t virtual_start;
    uint64_t virtual_end;  // the last byte
    uint64_t physical_start;
    uint32_t flags;
};
static_assert(sizeof(Map) == 32);
struct [[gnu::packed]] Unmap {
    uint32_t domain;
    uint64_t virtual_start;
    uint64_t virtual_end;
    uint8_t reserved[4];
};
static_assert(sizeof(Unmap) == 24);
struct Probe {
    uint32_t endpoint;
    uint8_t reserved[64];
};
static_assert(sizeof(Probe) == 68);

// A property of an endpoint [virtio-1.2 5.13.6.7]: addresses that are not translated.
inline constexpr uint16_t kPropertyReserved = 1;
inline constexpr uint8_t kReservedMsi = 1;
struct ReservedMemory {
    uint16_t type;    // kPropertyReserved
    uint16_t length;  // of what follows these two
    uint8_t subtype;
    uint8_t reserved[3];
    uint64_t start;
    uint64_t end;
};
static_assert(sizeof(ReservedMemory) == 24);

// Faults [virtio-1.2 5.13.6.9].
enum Reason : uint8_t { kUnknown = 0, kDomain = 1, kMapping = 2 };
inline constexpr uint32_t kFaultRead = 1, kFaultWrite = 2, kFaultAddress = 1 << 8;
struct Fault {
    uint8_t reason;
    uint8_t reserved[3];
    uint32_t flags;
    uint32_t endpoint;
    uint8_t reserved2[4];
    uint64_t address;
};
static_assert(sizeof(Fault) == 24);

}  // namespace mynah::virtio::iommu
