#include "cli/machine_commands.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/exit_status.h"
#include "cli/nearest_name.h"
#include "control/machine_place.h"
#include "control/qmp_client.h"

namespace mynah {
namespace {

using nlohmann::json;

int finish(std::string_view command, const Result<void>& result) {
    if (result) return kExitOk;
    fmt::print(stderr, "mynah {}: {}\n", command, result.error().message());
    return kExitError;
}

Result<QmpClient> connect_to(std::string_view name) {
    const std::string runtime = runtime_directory();
    const std::vector<std::string> running = running_machines(runtime);
    if (std::ranges::find(running, name) == running.end()) {
        const std::vector<std::string_view> candidates(running.begin(), running.end());
        return Error(
            fmt::format("no machine '{}' is running{}; expected the name given to "
                        "mynah run --name",
                        name, did_you_mean(name, candidates)));
    }
    return QmpClient::connect(control_path(runtime, std::string(name)));
}

Result<void> screenshot(std::span<const std::string_view> words) {
    if (words.size() != 2 || words[0].empty() || words[1].empty())
        return Error("expected the name of a running machine and a file: NAME FILE");
    QmpClient machine = TRY(connect_to(words[0]));
    // The machine may have another working directory.
    std::error_code error;
    const auto path = std::filesystem::absolute(words[1], error);
    if (error) return Error(fmt::format("{}: {}", words[1], error.message()));
    TRY(machine.execute("screendump", {{"filename", path.string()}, {"format", "png"}}));
    return {};
}

// One that ends while it is asked is left out.
Result<void> list(std::span<const std::string_view> words) {
    if (!words.empty()) return Error(fmt::format("'{}': unexpected", words.front()));
    const std::string runtime = runtime_directory();
    fmt::print("{:<24} {:>8}  {}\n", "NAME", "PROCESS", "STATE");
    for (const std::string& name : running_machines(runtime)) {
        auto machine = QmpClient::connect(control_path(runtime, name));
        if (!machine) continue;
        const auto status = machine.value().execute("query-status", json::object());
        if (!status || !status.value().is_object()) continue;
        const json state = status.value().value("status", json());
        fmt::print("{:<24} {:>8}  {}\n", name, machine.value().server(),
                   state.is_string() ? state.get<std::string>() : "unknown");
    }
    return {};
}

}  // namespace

int list_command(std::span<const std::string_view> words) { return finish("list", list(words)); }

int screenshot_command(std::span<const std::string_view> words) {
    return finish("screenshot", screenshot(words));
}

}  // namespace mynah
