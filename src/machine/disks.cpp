#include "machine/disks.h"

namespace mynah {

Result<std::unique_ptr<BlockBackend>> open_disk(const DiskConfig& config, Executor& slow_work) {
    if (config.path.empty()) return std::unique_ptr<BlockBackend>();
    RawFileOptions options;
    options.path = config.path;
    options.read_only = config.read_only;
    options.cache = config.cache;
    options.format_given = config.format_given;
    std::unique_ptr<BlockBackend> disk = TRY(RawFile::open(options, slow_work));
    return disk;
}

Result<std::vector<std::unique_ptr<BlockBackend>>> open_disks(
    const std::vector<DiskConfig>& configs, Executor& slow_work) {
    std::vector<std::unique_ptr<BlockBackend>> disks;
    for (const DiskConfig& config : configs) disks.push_back(TRY(open_disk(config, slow_work)));
    return disks;
}

}  // namespace mynah
