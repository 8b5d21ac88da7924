#pragma once

#include <cstdint>

#include "base/bits.h"

// The SCSI host device [virtio-1.2 5.6].
namespace mynah::virtio::scsi {

// Queues [virtio-1.2 5.6.2]; requests from the third on.
inline constexpr uint16_t kControlQueue = 0, kEventQueue = 1, kFirstRequestQueue = 2;

// Feature bits [virtio-1.2 5.6.3].
inline constexpr uint64_t kFeatureInOut = bit(0), kFeatureHotplug = bit(1), kFeatureChange = bit(2);

// struct virtio_scsi_config [virtio-1.2 5.6.4].
struct Config {
    uint32_t num_queues;
    uint32_t seg_max;
    uint32_t max_sectors;
    uint32_t cmd_per_lun;
    uint32_t event_info_size;
    uint32_t sense_size;  // the driver may change these two
    uint32_t cdb_size;
    uint16_t max_channel;
    uint16_t max_target;
    uint32_t max_lun;
};
static_assert(sizeof(Config) == 36);

inline constexpr uint32_t kDefaultSenseSize = 96, kDefaultCdbSize = 32;
inline constexpr uint16_t kMaxTarget = 255, kMaxLun = 16383;

// The beginning of struct virtio_scsi_req_cmd [virtio-1.2 5.6.6.1]; the descriptor block follows,
// and the data.
struct CommandHeader {
    uint8_t lun[8];
    uint8_t id[8];
    uint8_t task_attribute;
    uint8_t priority;
    uint8_t crn;
};
static_assert(sizeof(CommandHeader) == 19);

// What the device writes; sense data of sense_size bytes follow, and the data.
struct CommandResponse {
    uint32_t sense_length;
    uint32_t residual;
    uint16_t status_qualifier;
    uint8_t status;
    uint8_t response;
};
static_assert(sizeof(CommandResponse) == 12);

inline constexpr uint8_t kResponseOk = 0, kResponseOverrun = 1, kResponseAborted = 2,
                         kResponseBadTarget = 3, kResponseReset = 4, kResponseBusy = 5,
                         kResponseFailure = 9, kResponseFunctionSucceeded = 10,
                         kResponseFunctionRejected = 11, kResponseIncorrectLun = 12;
// Of task management: all was done [virtio-1.2 5.6.6.2].
inline constexpr uint8_t kResponseFunctionComplete = 0;

// Of the control queue [virtio-1.2 5.6.6.2].
inline constexpr uint32_t kTaskManagement = 0, kNotificationQuery = 1, kNotificationSubscribe = 2;
enum class TaskFunction : uint32_t {
    kAbortTask = 0,
    kAbortTaskSet = 1,
    kClearAca = 2,
    kClearTaskSet = 3,
    kNexusReset = 4,
    kLogicalUnitReset = 5,
    kQueryTask = 6,
    kQueryTaskSet = 7,
};
struct TaskRequest {
    uint32_t type;
    uint32_t function;
    uint8_t lun[8];
    uint8_t id[8];
};
static_assert(sizeof(TaskRequest) == 24);
struct NotificationRequest {
    uint32_t type;
    uint8_t lun[8];
    uint32_t events;
};
static_assert(sizeof(NotificationRequest) == 16);
inline constexpr uint32_t kTaskResponseSize = 1, kNotificationResponseSize = 5;

// struct virtio_scsi_event [virtio-1.2 5.6.6.3].
struct Event {
    uint32_t event;
    uint8_t lun[8];
    uint32_t reason;
};
static_assert(sizeof(Event) == 16);
inline constexpr uint32_t kEventsMissed = 0x80000000;
inline constexpr uint32_t kNoEvent = 0, kTransportReset = 1, kParameterChange = 3;
inline constexpr uint32_t kReasonRescan = 1, kReasonRemoved = 2;  // of kTransportReset

}  // namespace mynah::virtio::scsi
