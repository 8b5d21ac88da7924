#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "silicon/case.h"

namespace mynah::silicon {

struct Options {
    std::optional<uint64_t> seed;
    double seconds = 10;
    uint64_t cases = ~uint64_t{0};
    std::optional<uint64_t> only;  // one case by its number
    std::string filter;            // part of the mnemonic
    std::string cpu = "max";
    std::vector<std::string> engines;
    unsigned show = 20;
    bool list = false, blocks = false, faults = false, shrink = false, dump = false;
};

// An engine under test.
struct Guest {
    std::string name;
    std::unique_ptr<Runner> runner;
};

// The words of a command line that run one case again.
std::string again(const Options& options, const std::string& engine, uint64_t number);

// "completed", "lost" or which exception.
std::string ending_name(const Ending& ending);

}  // namespace mynah::silicon
