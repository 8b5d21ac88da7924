#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "backend/character/character_backend.h"
#include "base/result.h"
#include "machine/machine_config.h"

namespace mynah {

// The host sides of a machine's serial ports, COM1 first; null for a port that is not there. `quit`
// is called when the operator types Ctrl-A X. A pseudo-terminal's name is told on standard error.
// Error: names the option and why.
Result<std::vector<std::unique_ptr<CharacterBackend>>> open_serial_backends(
    const std::vector<SerialConfig>& configs, const std::function<void()>& quit);

}  // namespace mynah
