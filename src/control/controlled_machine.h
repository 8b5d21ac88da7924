#pragma once

#include <string>

#include "base/result.h"

namespace mynah {

// What can be asked of a running machine from outside. Any thread.
class ControlledMachine {
  public:
    virtual ~ControlledMachine() = default;
    virtual std::string name() const = 0;
    // The picture as it is now, as a PNG. Error: names the file and why, or that there is no
    // screen.
    virtual Result<void> screenshot(const std::string& path) = 0;
    virtual void press_power_button() = 0;
    virtual void reset() = 0;
    // Ends it at once, whatever the guest is doing.
    virtual void quit() = 0;
};

}  // namespace mynah
