#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "host/host_files.h"
#include "host/system_calls.h"
#include "machine/engine_report.h"

namespace mynah {

// One thing a machine may want of the host.
struct HostFinding {
    // kMissing: machines run without it, but not all of them, or not as well.
    enum class State { kWorks, kMissing, kBroken };
    std::string name;
    State state = State::kWorks;
    std::string text;     // in plain words, with the numbers
    std::string command;  // that would mend it; empty: nothing to mend, or no command can
};

// What the examination looks at: a test has its own.
struct HostView {
    SystemCalls& calls;
    HostFiles files;
    EngineMeasures engines;
    bool io_uring = false;   // a ring can be made
};
HostView this_host(const std::string& cache_folder);

std::vector<HostFinding> examine_host(const HostView& host);

// A line or two for each; what is broken comes with the command.
std::string host_report(const std::vector<HostFinding>& findings);
nlohmann::json host_report_json(const std::vector<HostFinding>& findings);
// Nothing that every machine needs is broken.
bool host_usable(const std::vector<HostFinding>& findings);

}  // namespace mynah
