#pragma once

#include <optional>
#include <string>

namespace mynah {

// Where this user's programs keep what they can make again [XDG base directories]: a directory
// `name` of ours in $XDG_CACHE_HOME or ~/.cache. Nothing: neither is known.
std::optional<std::string> cache_directory(const std::string& name);

}  // namespace mynah
