#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/block/block_backend.h"
#include "base/executor.h"
#include "base/result.h"
#include "machine/machine_config.h"

namespace mynah {

// Opens the host side of a disk; null for a drive without a CD.
Result<std::unique_ptr<BlockBackend>> open_disk(const DiskConfig& config, Executor& slow_work);

// Opens the host sides of a machine's disks. Error: names option and path.
Result<std::vector<std::unique_ptr<BlockBackend>>> open_disks(
    const std::vector<DiskConfig>& configs, Executor& slow_work);

// What the guest tells disks apart by: the same at every start. index: among the machine's disks.
std::string disk_serial(const MachineConfig& config, const DiskConfig& disk, size_t index);

}  // namespace mynah
