#pragma once

#include <sys/types.h>

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

    // `thread`: of this process, as gettid() says.
    explicit RunDelay(pid_t thread);
    // In ns. Nothing: the host does not say, or there is no such thread. Any thread.
    std::optional<uint64_t> read_ns() const;

  private:
    Fd file_;
};

}  // namespace mynah
