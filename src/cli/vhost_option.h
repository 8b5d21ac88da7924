#pragma once

#include <string_view>
#include <vector>

#include "cli/option_value.h"
#include "cli/run_options.h"

// Options for devices whose requests another process carries out, over vhost-user.
namespace mynah {

// --disk vhost-user=PATH[,queues=N]
Result<void> apply_vhost_disk(RunOptions& options, const std::vector<ValuePart>& parts);
// --network vhost-user=PATH[,queues=PAIRS][,mac=ADDRESS][,mtu=BYTES][,model=virtio]
Result<void> apply_vhost_network(RunOptions& options, const std::vector<ValuePart>& parts);
// --network tap=NAME,vhost=on[,mac=ADDRESS][,mtu=BYTES], as it has been read
Result<void> add_vhost_tap(RunOptions& options, const NetworkConfig& network);
// --vsock cid=N,vhost=on
Result<void> add_vhost_vsock(RunOptions& options, uint64_t cid);
// --filesystem socket=PATH,TAG[,queues=N] (TAG also as tag=TAG)
Result<void> apply_vhost_filesystem(RunOptions& options, const std::vector<ValuePart>& parts);
// --device vhost-user,type=N,socket=PATH[,queues=N][,queue-size=N]
Result<void> apply_device_option(RunOptions& options, std::string_view value);

// --vdpa PATH[,queues=N][,mac=ADDRESS]
Result<void> apply_vdpa_option(RunOptions& options, std::string_view value);

}  // namespace mynah
