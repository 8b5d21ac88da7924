#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "machine/machine_config.h"

namespace mynah {

// What `mynah run` was asked to do.
struct RunOptions {
    MachineConfig machine;
    std::optional<MachineConfig::BoardKind> board;  // as given; else it follows from the rest
    bool usb_given = false;  // the operator said which USB controller
    bool named = false;                             // it can be reached under its name
    bool kernel_cache = true;                       // keep unpacked kernels for the next time
    bool accelerator_given = false;                 // the operator said which engine, or auto
    bool json = false;                              // why an engine cannot be used, for programs
    bool verbose = false;                           // what is being done, and a summary at the end
    bool dump_registers = false;                    // after a crash
    bool help = false;
    bool version = false;
};

// The words behind `mynah run`. Error: one line that names the option, says what was expected, and
// suggests the nearest valid one. Nothing is ignored; what later versions will have is said to be
// missing.
Result<RunOptions> parse_run_options(std::span<const std::string_view> words);

// A line or two for each option.
std::string run_help();

}  // namespace mynah
