#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// A Unix socket that listens at a path, for its owner only. Error: names `origin` and why; a path
// where something that is no abandoned socket lies is left alone.
Result<Fd> listen_unix(const std::string& path, const std::string& origin);

// The next one who connects to a listener that does not block; `flags` beside SOCK_CLOEXEC.
// Invalid: nobody. Out of descriptors it waits a little first, or until `stop` (-1: nothing) can be
// read, as who connects stays and a caller that polls would spin.
Fd accept_or_pause(const Fd& listener, int flags, int stop);

// A TCP socket that listens at a numeric address; port 0: any that is free. Error: names `origin`.
Result<Fd> listen_tcp(const std::string& address, uint16_t port, const std::string& origin);

// True if nobody listens there; who wants it may still come too late.
bool is_port_free(const std::string& address, uint16_t port);

// Which port it got.
uint16_t port_of(const Fd& listener);

// True if the numeric address is the host's own.
bool is_loopback(const std::string& address);

}  // namespace mynah
