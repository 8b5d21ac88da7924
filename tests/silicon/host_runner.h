#pragma once

#include <memory>

#include "silicon/case.h"

namespace mynah::silicon {

// Runs cases on the host's processor, by single-stepping one instruction in this process: its code
// and data are at fixed addresses, every signal it can raise is caught. One thread, one runner.
std::unique_ptr<Runner> make_host_runner();

}  // namespace mynah::silicon
