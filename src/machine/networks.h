#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/network/network_backend.h"
#include "base/result.h"
#include "machine/network_config.h"

namespace mynah {

// Opens the host sides of a machine's network cards, in their order. Error: names the option.
Result<std::vector<std::unique_ptr<NetworkBackend>>> open_networks(
    const std::vector<NetworkConfig>& configs);

// What the operator knows a network by: "network 0 (tap=tap0)"; `name` is its number or id.
std::string network_place(const NetworkConfig& config, std::string_view name);

// The card's address: what the operator said, or one that goes with the machine's identity.
MacAddress card_address(const NetworkConfig& config, const std::string& machine, unsigned card);

// The boot ROM of such a card, iPXE as the package ipxe-qemu has it; empty if it is not installed.
std::vector<std::byte> network_boot_rom(NetworkConfig::Model model);

}  // namespace mynah
