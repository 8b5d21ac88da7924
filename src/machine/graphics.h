#pragma once

#include <memory>
#include <string>

#include "backend/display/vnc_server.h"
#include "base/result.h"
#include "machine/machine_config.h"

namespace mynah {

// Serves the screen as `--graphics vnc` asks: at a Unix socket, at an address, or, if neither was
// named, at the first free port of the host's own from 5900 on; the page, if wanted, from 5700 on.
// Error: names the option and why.
Result<std::unique_ptr<VncServer>> open_graphics(const MachineConfig& config, Screen& screen,
                                                 InputSink& input);

// Where a server of open_graphics() is found, one line each for the operator.
std::string graphics_places(const GraphicsConfig& config, const VncServer& server);

}  // namespace mynah
