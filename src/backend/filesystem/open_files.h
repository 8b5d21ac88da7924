#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "base/mutex.h"
#include "host/fd.h"

namespace mynah {

// A file or folder the guest has opened.
struct OpenFile {
    explicit OpenFile(Fd opened) : fd(std::move(opened)) {}
    const Fd fd;
    Mutex position;  // of a folder: held from setting the position to reading on from it
};

// What the guest has opened, by the handles it was given. Any thread.
class OpenFiles {
  public:
    explicit OpenFiles(size_t most) : most_(most) {}

    // The new handle, never 0; 0: there are too many.
    uint64_t add(Fd fd) EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        if (files_.size() >= most_) return 0;
        files_.emplace(++last_, std::make_shared<OpenFile>(std::move(fd)));
        return last_;
    }
    // Null: there is no such handle.
    std::shared_ptr<OpenFile> find(uint64_t handle) const EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        const auto found = files_.find(handle);
        return found == files_.end() ? nullptr : found->second;
    }
    void close(uint64_t handle) EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        files_.erase(handle);
    }
    void clear() EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        files_.clear();
    }

  private:
    const size_t most_;
    mutable Mutex mutex_;
    std::map<uint64_t, std::shared_ptr<OpenFile>> files_ GUARDED_BY(mutex_);
    uint64_t last_ GUARDED_BY(mutex_) = 0;
};

}  // namespace mynah
