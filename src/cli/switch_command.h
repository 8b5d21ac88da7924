#pragma once

#include <span>
#include <string>
#include <string_view>

namespace mynah {

// Where a switch of this user is plugged into: a name, or the path of its socket if it has a '/'.
std::string switch_path(std::string_view name);

// `mynah switch NAME …`: a virtual switch that machines plug into with --network switch=NAME.
// Returns the exit status.
int switch_command(std::span<const std::string_view> words);

}  // namespace mynah
