#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/block/block_backend.h"
#include "base/executor.h"
#include "base/result.h"
#include "host/fd.h"
#include "machine/machine_config.h"
#include "memory/guest_memory.h"

namespace mynah {

// Memory that a guest gets by devices, not at its start: files (virtio-pmem), and what is plugged
// while the machine runs (virtio-mem). It lies above RAM and above 4 GiB, each piece at a multiple
// of 1 GiB, as guests manage memory in pieces of up to that size.
class DeviceMemory {
  public:
    // ram_end: of the ranges that a guest finds. Makes files that are to be made. Error: names the
    // option, and the path.
    static Result<std::unique_ptr<DeviceMemory>> open(const MachineConfig& config,
                                                      GuestPhys ram_end, Executor& slow_work);

    // What GuestMemory::create() is to have room for.
    GuestMemory::Beyond beyond() const { return {pluggable_, end_}; }
    uint64_t block_bytes() const;
    // Puts the files where they belong. Once.
    Result<void> place(GuestMemory& memory);

    struct Persistent {
        GuestMemory::Range range;
        std::unique_ptr<BlockBackend> file;  // for flushing; it has the locks
        std::string path;
        Fd fd;  // until it is placed
    };
    std::span<const Persistent> persistent() const { return persistent_; }
    std::optional<GuestMemory::Range> pluggable() const { return pluggable_; }

  private:
    DeviceMemory() = default;
    Result<void> open_file(const PersistentMemoryConfig& config, Executor& slow_work);
    GuestPhys take(uint64_t size);

    std::vector<Persistent> persistent_;
    std::optional<GuestMemory::Range> pluggable_;
    GuestPhys end_{0};
};

}  // namespace mynah
