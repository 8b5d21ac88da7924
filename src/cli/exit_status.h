#pragma once

namespace mynah {

// What the programs return; scripts depend on it.
enum ExitStatus : int {
    kExitOk = 0,       // the guest powered off, or the operator quit
    kExitError = 1,    // a usage or host error
    kExitCrashed = 2,  // the guest crashed
    kExitLimit = 3,    // stopped by a time or instruction limit
    kExitNoEngine = 4,  // the engine that was named cannot be used on this host
};

}  // namespace mynah
