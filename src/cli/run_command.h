#pragma once

#include <span>
#include <string_view>

namespace mynah {

// `mynah run`: makes a machine of the words behind it and runs it in the foreground, in this
// process. Returns the exit status.
int run_command(std::span<const std::string_view> words);

}  // namespace mynah
