#pragma once

#include <cstddef>
#include <cstdint>

// Queue entries, commands and status codes [NVMe 4, 5, 6].
namespace mynah::nvme {

// A submission queue entry [NVMe 4.2].
struct Submission {
    uint8_t opcode;
    uint8_t flags;  // fused operation, PRP or SGL
    uint16_t cid;
    uint32_t nsid;
    uint32_t cdw2, cdw3;
    uint64_t metadata;
    uint64_t prp1, prp2;
    uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
static_assert(sizeof(Submission) == 64 && offsetof(Submission, cdw10) == 40);
inline constexpr uint8_t kFlagsFused = 0x03, kFlagsSgl = 0xc0;

// A completion queue entry [NVMe 4.6]; the phase is bit 0 of status.
struct Completion {
    uint32_t result;
    uint32_t reserved;
    uint16_t sq_head, sq_id;
    uint16_t cid, status;
};
static_assert(sizeof(Completion) == 16);

namespace admin {
inline constexpr uint8_t kDeleteSq = 0x00, kCreateSq = 0x01, kGetLogPage = 0x02, kDeleteCq = 0x04,
                         kCreateCq = 0x05, kIdentify = 0x06, kAbort = 0x08, kSetFeatures = 0x09,
                         kGetFeatures = 0x0a, kAsyncEventRequest = 0x0c;
}
namespace io {
inline constexpr uint8_t kFlush = 0x00, kWrite = 0x01, kRead = 0x02, kWriteZeroes = 0x08,
                         kDatasetManagement = 0x09;
inline constexpr uint32_t kForceUnitAccess = 1u << 30, kDeallocate = 1u << 25;  // cdw12
inline constexpr uint32_t kAttributeDeallocate = 1u << 2;  // cdw11 of dataset management
}  // namespace io

// Status codes with their type in 10:8 [NVMe 4.6.1].
namespace status {
inline constexpr uint16_t kSuccess = 0x000, kInvalidOpcode = 0x001, kInvalidField = 0x002,
                          kDataTransferError = 0x004, kInternalError = 0x006,
                          kInvalidNamespace = 0x00b, kInvalidPrpOffset = 0x013,
                          kWriteProtected = 0x020, kLbaOutOfRange = 0x080;
inline constexpr uint16_t kCqInvalid = 0x100, kInvalidQueueId = 0x101, kInvalidQueueSize = 0x102,
                          kAsyncLimitExceeded = 0x105, kInvalidVector = 0x108,
                          kInvalidLogPage = 0x109, kInvalidQueueDeletion = 0x10c,
                          kNotSaveable = 0x10d, kNotChangeable = 0x10e;
inline constexpr uint16_t kWriteFault = 0x280, kUnrecoveredRead = 0x281;
}  // namespace status

namespace identify {  // what cdw10 7:0 asks for
inline constexpr uint8_t kNamespace = 0x00, kController = 0x01, kActiveNamespaces = 0x02,
                         kNamespaceDescriptors = 0x03;
}
namespace log_page {
inline constexpr uint8_t kErrors = 0x01, kHealth = 0x02, kFirmware = 0x03, kEffects = 0x05;
}
namespace feature {
inline constexpr uint8_t kArbitration = 0x01, kPower = 0x02, kTemperature = 0x04,
                         kErrorRecovery = 0x05, kWriteCache = 0x06, kQueues = 0x07,
                         kCoalescing = 0x08, kVector = 0x09, kAtomicity = 0x0a, kAsyncEvents = 0x0b;
}
namespace event {  // asynchronous, type and information as the completion has them
inline constexpr uint32_t kInvalidDoorbell = 0x010000, kInvalidDoorbellValue = 0x010100;
}

// A range of dataset management [NVMe 6.7.1.1].
struct DatasetRange {
    uint32_t attributes;
    uint32_t blocks;
    uint64_t lba;
};
static_assert(sizeof(DatasetRange) == 16);

inline constexpr uint32_t kEveryNamespace = 0xffffffff;
inline constexpr uint64_t kPage = 4096;  // bytes

}  // namespace mynah::nvme
