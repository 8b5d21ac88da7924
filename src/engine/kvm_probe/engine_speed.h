#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "base/result.h"
#include "host/system_calls.h"

namespace mynah {

// How fast engines run supervisor code: ProbeGuest's loop, for some milliseconds. /dev/kvm may be
// served by a kernel that has no hardware for it and emulates what a guest's kernel does, a
// thousand times slower than our own translator; only measuring tells.

// Instructions in a second of the calling thread's time. Error: KVM cannot run a machine: which
// request failed and why, or what the processor exited with. `now_ns`: for tests.
Result<double> kvm_speed(SystemCalls& calls, std::chrono::milliseconds limit,
                         const std::function<uint64_t()>& now_ns = {});
// Error: the translator cannot be used here.
Result<double> translator_speed(std::chrono::milliseconds limit);

}  // namespace mynah
