#pragma once

#include <string_view>

#include "cli/run_options.h"

// Options for devices beside disks, network cards and serial ports.
namespace mynah {

// --console stdio|pty|file=PATH|socket=PATH|none[,target_type=serial|virtio]. "virtio" alone is the
// terminal as a virtio console.
Result<void> apply_console_option(RunOptions& options, std::string_view value);
// --channel unix,path=PATH[,name=NAME] or pty, file,path=PATH.
Result<void> apply_channel_option(RunOptions& options, std::string_view value);

// --memballoon virtio[,deflate-on-oom=on][,free-page-reporting=on]|none
Result<void> apply_memballoon_option(RunOptions& options, std::string_view value);
// --vsock cid=N,socket=PATH
Result<void> apply_vsock_option(RunOptions& options, std::string_view value);
// --filesystem DIR,TAG[,readonly=on] or source=DIR,target=TAG
Result<void> apply_filesystem_option(RunOptions& options, std::string_view value);
// --input keyboard|mouse|tablet[,bus=virtio]
Result<void> apply_input_option(RunOptions& options, std::string_view value);
// --iommu virtio|none
Result<void> apply_iommu_option(RunOptions& options, std::string_view value);
// --watchdog i6300esb[,action=reset|poweroff|shutdown|none]
Result<void> apply_watchdog_option(RunOptions& options, std::string_view value);

}  // namespace mynah
