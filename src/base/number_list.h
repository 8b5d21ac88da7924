#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mynah {

// "0-3", "1" or "0-1+4" (with '+' between): numbers below `limit`, ascending, each once. Nothing:
// the text is no such list; `wrong`, if wanted, is the range that is none.
std::optional<std::vector<uint32_t>> parse_number_list(std::string_view text, char between,
                                                       uint32_t limit,
                                                       std::string_view* wrong = nullptr);
// Ranges as Linux writes them: "0-3,5".
std::string format_number_list(const std::vector<uint32_t>& numbers);

}  // namespace mynah
