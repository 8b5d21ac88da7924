#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/block/block_backend.h"
#include "base/mutex.h"
#include "base/result.h"
#include "machine/machine_config.h"

namespace mynah {

class MediumTrays;

// A drive whose medium can be changed, as it is now.
struct RemovableDrive {
    std::string name;  // cd0, cd1, ... in the order of the command line
    std::string path;  // of the medium; empty: there is none
    bool tray_open = false, locked = false;
};

// What lies in the CD drives of a machine, which its operator changes while it runs. Any thread.
class RemovableMedia {
  public:
    using Open = std::function<Result<std::unique_ptr<BlockBackend>>(const DiskConfig&)>;

    // disks: the host sides of the configured disks, which it looks after from now on.
    RemovableMedia(const std::vector<DiskConfig>& configs,
                   std::vector<std::unique_ptr<BlockBackend>>& disks, Open open);

    // Which drives a disk's is among.
    using Trays = std::function<MediumTrays&(size_t disk)>;

    std::vector<RemovableDrive> drives(const Trays& trays) const EXCLUDES(mutex_);

    // Takes out what is in the drive and puts in the image at `path`; an empty path: nothing.
    // drive: its name; empty: the only one. Error: no such drive, the image cannot be opened (then
    // the old medium stays), or the guest has locked the tray, unless `force`.
    Result<void> change(const Trays& trays, const std::string& drive, const std::string& path,
                        bool force) EXCLUDES(mutex_);

  private:
    struct Drive {
        std::string name;
        size_t disk;        // index of the configuration
        DiskConfig config;  // with the path of what is in it
    };
    Result<Drive*> find(const std::string& name) REQUIRES(mutex_);

    const Open open_;
    mutable Mutex mutex_;
    std::vector<Drive> drives_ GUARDED_BY(mutex_);
    std::vector<std::unique_ptr<BlockBackend>>& disks_ GUARDED_BY(mutex_);
};

}  // namespace mynah
