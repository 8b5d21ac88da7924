#include "cli/doctor_command.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "cli/cache_directory.h"
#include "cli/exit_status.h"
#include "control/doctor/host_report.h"
#include "control/doctor/machine_report.h"
#include "control/machine_place.h"
#include "control/qmp_client.h"

namespace mynah {
namespace {

std::string json_text(const nlohmann::json& report) {
    return report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int doctor_host(bool json) {
    const auto findings = examine_host(this_host(cache_directory("engines").value_or("")));
    const std::string text =
        json ? json_text(host_report_json(findings)) : host_report(findings);
    std::fputs(text.c_str(), stdout);
    return host_usable(findings) ? kExitOk : kExitError;
}

// One look at the processors of a running machine. Those that came to no boundary since the last
// one are not fresh.
Result<std::vector<ProcessorSample>> look(QmpClient& machine, std::vector<uint64_t>& looks) {
    const nlohmann::json list =
        TRY(machine.execute("x-query-processors", nlohmann::json::object()));
    std::vector<ProcessorSample> samples;
    if (!list.is_array()) return samples;
    looks.resize(list.size());
    for (unsigned i = 0; i < list.size(); ++i) {
        const nlohmann::json& each = list[i];
        const uint64_t seen = each.value("looks", uint64_t{0});
        samples.push_back({.vcpu = i,
                           .rip = each.value("rip", uint64_t{0}),
                           .rflags = each.value("rflags", uint64_t{0}),
                           .halted = each.value("halted", false),
                           .fresh = seen != looks[i]});
        looks[i] = seen;
    }
    return samples;
}

// What is written on the screen of a running machine.
Result<std::string> screen_of(const std::string& path) {
    QmpClient machine = TRY(QmpClient::connect(path));
    const nlohmann::json answer =
        TRY(machine.execute("x-query-screen-text", nlohmann::json::object()));
    const auto text = answer.find("text");
    return text != answer.end() && text->is_string() ? text->get<std::string>() : std::string();
}

Result<std::vector<Diagnosis>> sample_processors(const std::string& path) {
    // Long enough that no guest has interrupts off for all of it by intent.
    constexpr int kLooks = 10;
    constexpr std::chrono::milliseconds kBetween{100};
    QmpClient machine = TRY(QmpClient::connect(path));
    std::vector<uint64_t> looks;
    TRY(look(machine, looks));
    ProcessorSamples samples;
    for (int i = 0; i < kLooks; ++i) {
        std::this_thread::sleep_for(kBetween);
        samples.push_back(TRY(look(machine, looks)));
    }
    return diagnose_processors(samples);
}

// How long a machine has been running.
uint64_t seconds_since(uint64_t started_ns) {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    const uint64_t now_ns =
        static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
    return started_ns == 0 || now_ns < started_ns ? 0 : (now_ns - started_ns) / 1'000'000'000;
}

Result<int> doctor_machine(const std::string& name, bool json) {
    const std::string runtime = runtime_directory();
    const auto names = running_machines(runtime);
    const bool running = std::ranges::find(names, name) != names.end();
    const auto record = RunRecord::read(record_path(runtime, name));
    if (!running && !record)
        return Error(fmt::format("'{}': no machine of this name is running, and none ended badly; "
                                 "expected the name given to mynah run --name",
                                 name));
    RunRecord::Contents seen = record.value_or(RunRecord::Contents{});
    std::vector<Diagnosis> diagnoses, of_processors;
    if (running) {
        // One that is only just starting, or ending, does not answer: its record speaks for it.
        const std::string control = control_path(runtime, name);
        if (auto screen = screen_of(control)) seen.screen = screen.take_value();
        if (auto found = sample_processors(control))
            of_processors = found.take_value();
        else if (!record)
            return found.take_error();
    }
    if (record || running)
        diagnoses = diagnose_record(seen, running, seconds_since(seen.started_ns));
    for (Diagnosis& each : of_processors) diagnoses.push_back(std::move(each));
    const std::string text =
        json ? json_text(machine_report_json(name, running, diagnoses, seen.screen))
             : machine_report(name, running, diagnoses, seen.screen);
    std::fputs(text.c_str(), stdout);
    return diagnoses.empty() ? kExitOk : kExitCrashed;
}

}  // namespace

int doctor_command(std::span<const std::string_view> words) {
    bool json = false;
    std::string name;
    for (const std::string_view word : words) {
        if (word == "--json") {
            json = true;
        } else if (name.empty() && !word.empty() && !word.starts_with('-') &&
                   word.find('/') == word.npos) {
            name = word;
        } else {
            fmt::print(stderr, "mynah doctor: '{}': unexpected; expected [NAME] [--json]\n", word);
            return kExitError;
        }
    }
    if (name.empty()) return doctor_host(json);
    const auto status = doctor_machine(name, json);
    if (status) return status.value();
    fmt::print(stderr, "mynah doctor: {}\n", status.error().message());
    return kExitError;
}

}  // namespace mynah
