#pragma once

#include <span>
#include <string>
#include <string_view>

namespace mynah {

// "; did you mean X?" for the candidate that looks most like `name`, or nothing if none does.
std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace mynah
