#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace mynah {

// What a machine did, for the operator.
struct MachineSummary {
    double seconds = 0;  // since start()
    std::optional<uint64_t> instructions = 0;  // nothing: the engine did not count them
    uint64_t exceptions = 0;
    uint64_t interrupts = 0;
    unsigned vcpus = 0;
    unsigned reboots = 0;
    std::map<std::string, uint64_t> undefined;  // unimplemented instructions by mnemonic
    std::map<std::string, uint64_t> counters;   // the engine's own

    // Several lines, each ended by a newline.
    std::string text() const;
};

}  // namespace mynah
