#include "cli/doctor_command.h"

#include <fmt/core.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/cache_directory.h"
#include "cli/exit_status.h"
#include "control/doctor/host_report.h"

namespace mynah {
namespace {

int doctor_host(bool json) {
    const auto findings = examine_host(this_host(cache_directory("engines").value_or("")));
    const std::string text =
        json ? host_report_json(findings).dump(2) + "\n" : host_report(findings);
    std::fputs(text.c_str(), stdout);
    return host_usable(findings) ? kExitOk : kExitError;
}

}  // namespace

int doctor_command(std::span<const std::string_view> words) {
    bool json = false;
    for (const std::string_view word : words) {
        if (word == "--json") {
            json = true;
        } else {
            fmt::print(stderr, "mynah doctor: '{}': unexpected; expected nothing or --json\n", word);
            return kExitError;
        }
    }
    return doctor_host(json);
}

}  // namespace mynah
