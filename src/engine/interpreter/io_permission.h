#pragma once

#include <cstdint>

namespace mynah::interpreter {

class Core;

// Whether the current task may use `size` ports from `port`: IOPL, else the I/O permission map
// of the TSS; virtual-8086 mode asks the map only [SDM 1 19.5]. False: a fault is in core.fault.
// Notes hits of breakpoints on ports.
bool io_permitted(Core& core, uint16_t port, unsigned size);

}  // namespace mynah::interpreter
