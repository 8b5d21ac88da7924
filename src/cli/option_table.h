#pragma once

#include <span>
#include <string_view>

#include "cli/run_options.h"

namespace mynah {

// An option of `mynah run`.
struct Option {
    std::string_view name;     // with the dashes
    std::string_view synonym;  // likewise; may be empty
    std::string_view value;    // what the help calls its value; empty: it has none
    std::string_view help;
    bool repeatable = false;
    // Puts the value into the options. The error is a clause that follows "--name VALUE: ".
    Result<void> (*apply)(RunOptions& options, std::string_view value) = nullptr;
};

std::span<const Option> run_option_table();

// Options that are planned, or that people know from other programs, with what there is instead.
struct MissingOption {
    std::string_view name;
    std::string_view instead;  // a clause; may be empty
};
std::span<const MissingOption> missing_option_table();

}  // namespace mynah
