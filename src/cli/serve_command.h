#pragma once

#include <span>
#include <string_view>

namespace mynah {

// `mynah serve blk|net|fs --socket PATH …`: a device for machines of other processes, over vhost-user.
// Returns the exit status.
int serve_command(std::span<const std::string_view> words);

}  // namespace mynah
