#pragma once

#include <memory>
#include <vector>

#include "backend/block/block_backend.h"
#include "base/executor.h"
#include "base/result.h"
#include "machine/machine_config.h"

namespace mynah {

// Opens the host sides of a machine's disks. Error: names option and path.
Result<std::vector<std::unique_ptr<BlockBackend>>> open_disks(
    const std::vector<DiskConfig>& configs, Executor& slow_work);

}  // namespace mynah
