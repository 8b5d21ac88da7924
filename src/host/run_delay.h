#pragma once

#include <cstdint>
#include <optional>

#include "host/fd.h"

namespace mynah {

// How long a thread was ready and the scheduler ran others, as the host's kernel counts it
// [proc_schedstat: /proc/PID/schedstat, second field]. Up to the moment it last got to run.
class RunDelay {
  public:
    // Whether this host's kernel counts it.
    static bool available();

    // Of the calling thread, which must be the same one at every call; in ns. Nothing: the host
    // does not say.
    std::optional<uint64_t> read_ns();

  private:
    Fd file_;
};

}  // namespace mynah
