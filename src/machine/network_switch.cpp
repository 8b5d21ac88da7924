#include "machine/network_switch.h"

#include "backend/network/virtual_switch.h"
#include "machine/networks.h"

namespace mynah {

Result<void> run_network_switch(const NetworkSwitchConfig& config, const EventFd& stop) {
    std::vector<NetworkConfig> networks;
    for (const auto& uplink : config.uplinks) networks.push_back(uplink.network);
    auto backends = TRY(open_networks(networks));
    auto network_switch = TRY(VirtualSwitch::open(config.socket, config.groups, config.socket));
    for (size_t i = 0; i < backends.size(); ++i)
        network_switch->add_uplink(std::move(backends[i]), config.uplinks[i].rules);
    network_switch->run(stop);
    return {};
}

}  // namespace mynah
