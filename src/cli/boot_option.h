#pragma once

#include <string_view>

#include "cli/run_options.h"

namespace mynah {

// --boot hd,cdrom,network[,uefi][,menu=on][,secure=on][,nvram=FILE]: the order of devices as virt-install has
// it, and firmware. Or --boot kernel=FILE[,initrd=FILE][,kernel_args=TEXT]. Commas in TEXT may be
// written twice; a part behind kernel_args= that has no '=' is taken for more of it
// ("console=ttyS0,115200").
Result<void> apply_boot_option(RunOptions& options, std::string_view value);

}  // namespace mynah
