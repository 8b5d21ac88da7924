#pragma once

#include <cstddef>
#include <cstdint>

#include "base/mutex.h"

namespace mynah::translator {

// /tmp/perf-PID.map, where Linux perf looks for the names of code that no file holds. A block is
// called by its guest address. Any thread.
class PerfMap {
  public:
    // Null if the file cannot be made: profiles then lack names, nothing else.
    static PerfMap* open();
    void add(const std::byte* code, size_t size, uint64_t rip);

  private:
    explicit PerfMap(int fd) : fd_(fd) {}
    Mutex mutex_;
    const int fd_;
};

}  // namespace mynah::translator
