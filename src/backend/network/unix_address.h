#pragma once

#include <string>

#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// Unix sockets by path, non-blocking. `type`: SOCK_STREAM or SOCK_DGRAM. Errors name `origin`, the
// path and why.

// A socket that nobody listens at any more is replaced; anything else at the path is not.
Result<Fd> bind_unix_socket(const std::string& path, int type, const std::string& origin);
Result<Fd> connect_unix_socket(const std::string& path, int type, const std::string& origin);
Result<void> connect_unix_socket(int fd, const std::string& path, const std::string& origin);

}  // namespace mynah
