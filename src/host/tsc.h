#pragma once

#include <cstdint>

namespace mynah {

// Frequency of the host's time-stamp counter in Hz, found out once: from CPUID 15h, or from a
// hypervisor's frequency leaf, or by comparing with CLOCK_MONOTONIC_RAW for some milliseconds. Any
// thread.
uint64_t host_tsc_hz();

inline uint64_t read_host_tsc() { return __builtin_ia32_rdtsc(); }

}  // namespace mynah
