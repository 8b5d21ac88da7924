#pragma once

#include <atomic>
#include <cstdint>

namespace mynah {

// How far the guest's driver has come with a virtio device, as the transport saw it: for whoever
// asks why a device is not used. The session writes it down as it happens; it lies where the
// operator's tools find it, even after the process has died (machine/run_record.h), so it has no
// pointers. One writer at a time, readers at any moment: fields may be of different moments.
struct VirtioHistory {
    struct Values {
        uint32_t device_id = 0;   // [virtio-1.2 5]
        uint32_t status = 0;      // the status field now [virtio-1.2 2.1]
        uint32_t before = 0;      // all bits that were ever set before the last reset of the device
        uint32_t refusals = 0;    // times that FEATURES_OK, or a legacy DRIVER_OK, was not granted
        uint32_t resets = 0;      // by the driver, or with the machine
        uint32_t bad_queue = 0;   // why NEEDS_RESET: 1 + the number of the queue that broke
        bool legacy = false;      // its last driver spoke the legacy interface
        uint64_t offered = 0;     // features
        uint64_t chosen = 0;      // what the driver wrote last, taken or not; 0: it wrote nothing
        uint64_t needed = 0;      // of the offered ones, those the driver must take
        uint64_t withheld = 0;    // not offered because what is behind the device lacks them
    };

    std::atomic<uint32_t> device_id{0}, status{0}, before{0}, refusals{0}, resets{0}, bad_queue{0};
    std::atomic<uint8_t> legacy{0};  // no bool: who reads it may find any byte
    std::atomic<uint64_t> offered{0}, chosen{0}, needed{0}, withheld{0};

    Values values() const {
        return {device_id, status,  before, refusals, resets, bad_queue,
                legacy != 0, offered, chosen, needed,   withheld};
    }
};

}  // namespace mynah
