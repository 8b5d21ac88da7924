#pragma once

namespace mynah {

inline constexpr const char* kVersionLine = "mynah 0.1.0";

}  // namespace mynah
