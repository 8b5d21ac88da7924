#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "base/mutex.h"
#include "host/fd.h"

namespace mynah {

// A file of the shared folder that the guest knows: held open by O_PATH, so that it is the same
// file whatever happens to its name.
struct HostInode {
    uint64_t id = 0;
    Fd fd;  // O_PATH | O_NOFOLLOW
    mode_t type = 0;  // S_IFMT bits, which never change
};

// The files that the guest knows, with how often it looked each up. Any thread.
class InodeTable {
  public:
    static constexpr uint64_t kRoot = 1;  // FUSE_ROOT_ID

    // At most so many, the root not counted.
    explicit InodeTable(size_t most) : most_(most) {}

    void set_root(Fd fd, const struct stat& status) EXCLUDES(mutex_);
    // Null: the guest does not know it.
    std::shared_ptr<HostInode> find(uint64_t id) const EXCLUDES(mutex_);
    // Counts a lookup of the file behind `fd`, which is kept if it is new. Null: there are too
    // many.
    std::shared_ptr<HostInode> looked_up(Fd fd, const struct stat& status) EXCLUDES(mutex_);
    // Takes lookups back; a file without any is forgotten.
    void forget(uint64_t id, uint64_t lookups) EXCLUDES(mutex_);
    // Forgets all but the root.
    void clear() EXCLUDES(mutex_);
    size_t size() const EXCLUDES(mutex_);

  private:
    using Identity = std::pair<dev_t, ino_t>;
    struct Entry {
        std::shared_ptr<HostInode> inode;
        Identity identity;
        uint64_t lookups = 0;
    };

    const size_t most_;
    mutable Mutex mutex_;
    std::map<uint64_t, Entry> entries_ GUARDED_BY(mutex_);
    std::map<Identity, uint64_t> by_identity_ GUARDED_BY(mutex_);
    uint64_t last_ GUARDED_BY(mutex_) = kRoot;  // numbers are not used twice
};

}  // namespace mynah
