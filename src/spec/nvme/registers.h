#pragma once

#include <cstdint>

#include "base/bits.h"

// Controller registers [NVMe 3.1].
namespace mynah::nvme {

inline constexpr uint32_t kCap = 0x00, kVs = 0x08, kIntms = 0x0c, kIntmc = 0x10, kCc = 0x14,
                          kCsts = 0x1c, kAqa = 0x24, kAsq = 0x28, kAcq = 0x30;
inline constexpr uint32_t kDoorbells = 0x1000;  // of the queues in pairs: tail, head; 4 bytes each

inline constexpr uint32_t kVersion14 = 0x00010400;

namespace cap {
inline constexpr uint64_t kContiguousQueues = bit(16), kNvmCommandSet = bit(37);
inline constexpr unsigned kTimeoutShift = 24;  // in units of 500 ms
}  // namespace cap
namespace cc {
inline constexpr uint32_t kEnable = 1;
using CommandSet = Field<uint32_t, 6, 4>;
using PageSize = Field<uint32_t, 10, 7>;
using Arbitration = Field<uint32_t, 13, 11>;
using Shutdown = Field<uint32_t, 15, 14>;
using SubmissionSize = Field<uint32_t, 19, 16>;
using CompletionSize = Field<uint32_t, 23, 20>;
inline constexpr uint32_t kWritable = 0x00fffff1;
}  // namespace cc
namespace csts {
inline constexpr uint32_t kReady = 1 << 0, kFatal = 1 << 1, kShutdownOccurring = 1 << 2,
                          kShutdownComplete = 2 << 2, kShutdown = 3 << 2;
}
namespace aqa {
using SubmissionSize = Field<uint32_t, 11, 0>;
using CompletionSize = Field<uint32_t, 27, 16>;
inline constexpr uint32_t kWritable = 0x0fff0fff;
}  // namespace aqa

}  // namespace mynah::nvme
