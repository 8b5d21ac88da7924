#pragma once

#include <cstdint>

#include "base/bits.h"

// The traditional memory balloon [virtio-1.2 5.5].
namespace mynah::virtio::balloon {

// Feature bits [virtio-1.2 5.5.3].
inline constexpr uint64_t kFeatureMustTellHost = bit(0);
inline constexpr uint64_t kFeatureStatistics = bit(1);
inline constexpr uint64_t kFeatureDeflateOnOom = bit(2);
inline constexpr uint64_t kFeatureFreePageHint = bit(3);
inline constexpr uint64_t kFeaturePagePoison = bit(4);
inline constexpr uint64_t kFeaturePageReporting = bit(5);

// struct virtio_balloon_config [virtio-1.2 5.5.4].
struct Config {
    uint32_t pages;   // the balloon's size as the host wants it
    uint32_t actual;  // and as it is; the driver writes it
    uint32_t free_page_hint_command;
    uint32_t poison_value;
};
static_assert(sizeof(Config) == 16);

inline constexpr uint64_t kPageShift = 12;  // of page numbers, whatever the guest's page size
// The largest number of page numbers taken from one buffer; Linux sends 256.
inline constexpr uint64_t kMaxPages = 4096;

// An entry of the statistics queue [virtio-1.2 5.5.6.3], 10 bytes without padding.
inline constexpr uint64_t kStatisticBytes = 10;
enum Statistic : uint16_t {
    kSwapIn = 0,
    kSwapOut = 1,
    kMajorFaults = 2,
    kMinorFaults = 3,
    kMemoryFree = 4,
    kMemoryTotal = 5,
    kAvailable = 6,
    kDiskCaches = 7,
    kHugePagesAllocated = 8,
    kHugePagesFailed = 9,
    kStatistics = 10,  // how many there are
};

// free_page_hint_cmd_id [virtio-1.2 5.5.6.5].
inline constexpr uint32_t kHintStop = 0, kHintDone = 1, kFirstHintCommand = 2;

}  // namespace mynah::virtio::balloon
