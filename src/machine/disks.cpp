#include "machine/disks.h"

namespace mynah {

Result<std::vector<std::unique_ptr<BlockBackend>>> open_disks(
    const std::vector<DiskConfig>& configs, Executor& slow_work) {
    std::vector<std::unique_ptr<BlockBackend>> disks;
    for (const DiskConfig& config : configs) {
        if (config.path.empty()) {  // a drive without a CD
            disks.push_back(nullptr);
            continue;
        }
        RawFileOptions options;
        options.path = config.path;
        options.read_only = config.read_only;
        options.cache = config.cache;
        options.format_given = config.format_given;
        disks.push_back(TRY(RawFile::open(options, slow_work)));
    }
    return disks;
}

}  // namespace mynah
