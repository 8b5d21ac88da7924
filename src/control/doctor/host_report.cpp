#include "control/doctor/host_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control/doctor/host_examinations.h"
#include "host/io_ring.h"

namespace mynah {
namespace {

const char* word_for(HostFinding::State state) {
    switch (state) {
        case HostFinding::State::kWorks: return "works";
        case HostFinding::State::kMissing: return "missing";
        case HostFinding::State::kBroken: return "broken";
    }
    return "unknown";
}

}  // namespace

HostView this_host(const std::string& cache_folder) {
    return {.calls = host_system_calls(),
            .files = HostFiles(),
            .engines = measure_host_engines(cache_folder),
            .io_uring = IoRing::create() != nullptr};
}

std::vector<HostFinding> examine_host(const HostView& host) {
    std::vector<HostFinding> findings;
    for (const auto examine :
         {examine_engines, examine_memory, examine_firmware, examine_devices, examine_limits})
        examine(host, findings);
    return findings;
}

std::string host_report(const std::vector<HostFinding>& findings) {
    std::string text;
    for (const HostFinding& each : findings) {
        text += fmt::format("{:<8} {:<16} {}\n", word_for(each.state), each.name, each.text);
        if (!each.command.empty()) text += fmt::format("{:25} mend: {}\n", "", each.command);
    }
    return text;
}

nlohmann::json host_report_json(const std::vector<HostFinding>& findings) {
    nlohmann::json list = nlohmann::json::array();
    for (const HostFinding& each : findings) {
        list.push_back({{"name", each.name},
                        {"state", word_for(each.state)},
                        {"text", each.text},
                        {"command", each.command}});
    }
    return {{"usable", host_usable(findings)}, {"findings", list}};
}

bool host_usable(const std::vector<HostFinding>& findings) {
    return std::ranges::none_of(
        findings, [](const auto& each) { return each.state == HostFinding::State::kBroken; });
}

}  // namespace mynah
