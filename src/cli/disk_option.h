#pragma once

#include <string_view>

#include "cli/run_options.h"

namespace mynah {

// --disk path=FILE[,format=][,size=GiB][,bus=][,readonly=on][,cache=][,snapshot=on][,discard=]
//        [,copy_on_read=on][,iops=][,bps=][,data_file=]
Result<void> apply_disk_option(RunOptions& options, std::string_view value);
// --cdrom FILE: a drive with that CD.
Result<void> apply_cdrom_option(RunOptions& options, std::string_view value);

}  // namespace mynah
