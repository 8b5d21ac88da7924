#pragma once

#include "machine/run_control.h"

namespace mynah {

// How a machine ended, as its record has it.
inline constexpr const char* kEndRefused = "refused";  // it never ran
inline constexpr const char* kEndHostError = "host-error";
inline constexpr const char* kEndCrashed = "triple-fault";
inline constexpr const char* kEndPanicked = "panicked";

inline const char* end_word(StopReason reason) {
    switch (reason) {
        case StopReason::kCrashed: return kEndCrashed;
        case StopReason::kPanicked: return kEndPanicked;
        case StopReason::kHostError: return kEndHostError;
        case StopReason::kPoweredOff: return "powered-off";
        case StopReason::kReset: return "reset";
        case StopReason::kInstructionLimit: return "instruction-limit";
        case StopReason::kTimeLimit: return "time-limit";
        case StopReason::kQuit: return "quit";
    }
    return "unknown";
}

}  // namespace mynah
