#pragma once

#include <span>
#include <string_view>

namespace mynah {

// Commands about machines that run in other processes, by their names. Each returns the exit
// status.

// `mynah list`: name, process and state of each.
int list_command(std::span<const std::string_view> words);

// `mynah screenshot NAME FILE`
int screenshot_command(std::span<const std::string_view> words);

}  // namespace mynah
