#pragma once

#include <ctime>

#include <cstdint>

namespace mynah {

// Nanoseconds for which the calling thread has had a processor: what measures work on a host that
// has other work, too.
inline uint64_t thread_now_ns() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace mynah
