#pragma once

#include <string>

#include "backend/display/surface.h"
#include "base/result.h"

namespace mynah {

// Writes the picture as a PNG with 8 bits a colour and no transparency. The file appears whole or
// not at all. Error: names the file and why.
Result<void> write_png(const Surface& surface, const std::string& path);

}  // namespace mynah
