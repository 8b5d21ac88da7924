#pragma once

#include <cstddef>
#include <span>

#include "base/mutex.h"

namespace mynah {

// Writes a guest's output to a descriptor. A reader that is slow holds the guest up for at most
// kPatienceMs once; after that bytes are dropped until there is room again. Any thread.
class OutputWriter {
 public:
    static constexpr int kPatienceMs = 2000;

    // The descriptor must outlive the writer; -1 drops everything.
    explicit OutputWriter(int fd = -1) : fd_(fd) {}
    void set_fd(int fd) EXCLUDES(mutex_);
    // Never wait: for a place where often nobody reads.
    void set_impatient() EXCLUDES(mutex_);
    void write(std::span<const std::byte> bytes) EXCLUDES(mutex_);

 private:
    bool wait_for_room() REQUIRES(mutex_);

    Mutex mutex_;
    int fd_ GUARDED_BY(mutex_);
    bool patient_ GUARDED_BY(mutex_) = true;
    bool never_wait_ GUARDED_BY(mutex_) = false;
};

}  // namespace mynah
