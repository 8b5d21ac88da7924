#pragma once

#include <span>
#include <string_view>

namespace mynah {

// `mynah image COMMAND ...`: makes, looks at and changes disk images. Returns the exit status: 0, or
// 1 for an error; `check` also 2 for damage and 3 for leaks, `compare` 1 for a difference and 2 for
// an error, as qemu-img does.
int image_command(std::span<const std::string_view> words);

}  // namespace mynah
