#pragma once

#include <string>

#include "host/fd.h"

namespace mynah {

// Whether this can be the name of a file in a folder: one step, that leads down.
bool is_plain_name(const std::string& name);

// Opens `name` in a folder; the name is one step, and no symbolic link is followed. Sets errno.
Fd open_beneath(int folder, const std::string& name, int flags, mode_t mode = 0);

}  // namespace mynah
