#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "paravirt/virtio/virtio_history.h"

namespace mynah {

// How far a driver came with a virtio device, in words, by what was recorded of it.
struct VirtioProgress {
    enum class Stage : uint8_t {
        kUntouched,    // no status was ever written
        kNoDriver,     // the guest's bus has seen it, no driver took it
        kLetGo,        // a driver had it and gave it back
        kNegotiating,  // a driver took it, and no features are agreed on
        kRefused,      // the same, and what the driver asked for was refused
        kGaveUp,       // the driver set FAILED
        kAgreed,       // features are agreed on; the driver does not run
        kBroken,       // DEVICE_NEEDS_RESET
        kRunning,
    };
    Stage stage = Stage::kUntouched;
    bool entropy = false;  // a source of random numbers: guests may well do without
    bool legacy = false;
    std::string type;      // "virtio-net"
    std::string status;    // "0x83 (ACKNOWLEDGE DRIVER FAILED)"
    // Names of feature bits, with spaces between; empty: none. `wrote`: the driver wrote features.
    bool wrote = false;
    std::string offered, chosen;
    std::string unknown;   // that the driver asked for and the device did not offer
    std::string missing;   // that the driver must take and did not
    std::string withheld;  // that are not offered as the back end lacks them
    std::string lacking;   // of `unknown`, those
    std::optional<unsigned> bad_queue;
};
VirtioProgress progress_of(const VirtioHistory::Values& values);

}  // namespace mynah
