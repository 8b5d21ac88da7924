#pragma once

#include <string_view>

#include "cli/run_options.h"

namespace mynah {

// --network user|tap=NAME|stream=PATH[,server=on]|dgram=PATH,peer=PATH|none
//     [,model=virtio|e1000|rtl8139][,mac=ADDRESS][,mtu=BYTES][,pcap=FILE]
//     user only: [,hostfwd=tcp|udp:[ADDRESS]:PORT-[ADDRESS]:PORT]...[,restrict=on]
//     [,tftp=FOLDER][,bootfile=NAME]
Result<void> apply_network_option(RunOptions& options, std::string_view value);

}  // namespace mynah
