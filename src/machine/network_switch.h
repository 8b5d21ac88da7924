#pragma once

#include <map>
#include <string>
#include <vector>

#include "backend/network/switch_table.h"
#include "base/result.h"
#include "host/event_fd.h"
#include "machine/network_config.h"

namespace mynah {

// A virtual switch as the operator wants it.
struct NetworkSwitchConfig {
    struct Uplink {
        NetworkConfig network;
        SwitchPortRules rules;
    };
    std::string socket;  // where ports plug in
    std::map<std::string, SwitchPortRules> groups;
    std::vector<Uplink> uplinks;
};

// Runs it until `stop` is signalled. Error: names the option and why.
Result<void> run_network_switch(const NetworkSwitchConfig& config, const EventFd& stop);

}  // namespace mynah
