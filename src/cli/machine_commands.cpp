#include "cli/machine_commands.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
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

Result<void> attach(std::span<const std::string_view> words) {
    if (words.size() != 4 || (words[2] != "--disk" && words[2] != "--network"))
        return Error(
            "expected a running machine, a name for the device, and what it is: "
            "NAME ID --disk VALUE or NAME ID --network VALUE");
    QmpClient machine = TRY(connect_to(words[0]));
    const bool disk = words[2] == "--disk";
    std::error_code error;
    const auto here = std::filesystem::current_path(error);
    if (error) return Error(fmt::format("the working directory: {}", error.message()));
    TRY(machine.execute("device_add", {{"driver", disk ? "virtio-blk-pci" : "virtio-net-pci"},
                                       {"id", std::string(words[1])},
                                       {"x-value", std::string(words[3])},
                                       {"x-directory", here.string()}}));
    return {};
}

Result<void> detach(std::span<const std::string_view> words) {
    using std::chrono::steady_clock;
    constexpr std::chrono::milliseconds kPatience{30'000}, kPause{100};
    if (words.size() != 2) return Error("expected a running machine and a device: NAME ID");
    const std::string id(words[1]);
    QmpClient machine = TRY(connect_to(words[0]));
    TRY(machine.execute("device_del", {{"id", id}}));
    // A guest takes some seconds, so that whoever pressed the button can think better of it.
    const auto limit = steady_clock::now() + kPatience;
    for (;;) {
        const json list = TRY(machine.execute("qom-list", {{"path", "/machine/peripheral"}}));
        const auto is_it = [&](const json& each) { return each.value("name", "") == id; };
        if (std::ranges::none_of(list, is_it)) return {};
        if (steady_clock::now() > limit)
            return Error(fmt::format("the guest has not let '{}' go; it was asked to", id));
        std::this_thread::sleep_for(kPause);
    }
}

// The words without --force, and whether it was among them.
std::pair<std::vector<std::string>, bool> without_force(std::span<const std::string_view> words) {
    std::vector<std::string> rest;
    for (const std::string_view word : words) {
        if (word != "--force") rest.emplace_back(word);
    }
    return {rest, rest.size() != words.size()};
}

// What a machine says of the drive that is meant.
bool drive_is(std::string_view state, QmpClient& machine, const json& arguments) {
    const auto drives = machine.execute("query-block", json::object());
    if (!drives || !drives.value().is_array()) return false;
    return std::ranges::any_of(drives.value(), [&](const json& drive) {
        return drive.value(std::string(state), false) &&
               (!arguments.contains("id") || arguments["id"] == drive.value("device", ""));
    });
}

// A guest that has locked the tray is asked, and given a while, to open it. One that unlocks it
// first is about to open it: what is put in before that would come out again.
Result<void> change(QmpClient& machine, std::string_view command, const json& arguments) {
    constexpr std::chrono::milliseconds kPatience{10'000}, kPause{200};
    const bool locked = drive_is("locked", machine, arguments);
    const auto first = machine.execute(command, arguments);
    if (first) return {};
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (locked && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(kPause);
        if (!drive_is("tray_open", machine, arguments)) continue;
        TRY(machine.execute(command, arguments));
        return {};
    }
    return Error(std::string(first.error().message()));
}

Result<void> eject(std::span<const std::string_view> words) {
    const auto [rest, force] = without_force(words);
    if (rest.empty() || rest.size() > 2)
        return Error("expected the name of a running machine: NAME [DRIVE] [--force]");
    QmpClient machine = TRY(connect_to(rest[0]));
    json arguments{{"force", force}};
    if (rest.size() == 2) arguments["id"] = rest[1];
    return change(machine, "eject", arguments);
}

Result<void> insert(std::span<const std::string_view> words) {
    const auto [rest, force] = without_force(words);
    if (rest.size() < 2 || rest.size() > 3 || rest[1].empty())
        return Error("expected the name of a running machine and an image: "
                     "NAME FILE [DRIVE] [--force]");
    QmpClient machine = TRY(connect_to(rest[0]));
    std::error_code error;
    const auto path = std::filesystem::absolute(rest[1], error);
    if (error) return Error(fmt::format("{}: {}", rest[1], error.message()));
    json arguments{{"force", force}, {"filename", path.string()}};
    if (rest.size() == 3) arguments["id"] = rest[2];
    return change(machine, "blockdev-change-medium", arguments);
}

// A command without arguments to a machine.
Result<void> tell(std::span<const std::string_view> words, std::string_view command) {
    if (words.size() != 1) return Error("expected the name of a running machine");
    QmpClient machine = TRY(connect_to(words[0]));
    TRY(machine.execute(std::string(command), json::object()));
    return {};
}

Result<void> engine(std::span<const std::string_view> words) {
    if (words.empty() || words.size() > 2)
        return Error("expected the name of a running machine, and what it is to run on: "
                     "NAME [kvm|jit|interpreter|--verbose]");
    QmpClient machine = TRY(connect_to(words[0]));
    const bool verbose = words.size() == 2 && words[1] == "--verbose";
    if (words.size() == 2 && !verbose) {
        TRY(machine.execute("x-set-engine", {{"engine", std::string(words[1])}}));
        return {};
    }
    const json answer = TRY(machine.execute("x-query-engine", json::object()));
    fmt::print("{}\n", answer.value("engine", "unknown"));
    if (!verbose) return {};
    const json uses = answer.value("uses", json::object());
    for (const auto& [name, count] : uses.items())
        fmt::print("{}: {}\n", name, count.dump());
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

int attach_command(std::span<const std::string_view> words) {
    return finish("attach", attach(words));
}

int detach_command(std::span<const std::string_view> words) {
    return finish("detach", detach(words));
}

int eject_command(std::span<const std::string_view> words) {
    return finish("eject", eject(words));
}

int insert_command(std::span<const std::string_view> words) {
    return finish("insert", insert(words));
}

int engine_command(std::span<const std::string_view> words) {
    return finish("engine", engine(words));
}

int stop_command(std::span<const std::string_view> words) {
    return finish("stop", tell(words, "system_powerdown"));
}

int reset_command(std::span<const std::string_view> words) {
    return finish("reset", tell(words, "system_reset"));
}

int destroy_command(std::span<const std::string_view> words) {
    return finish("destroy", tell(words, "quit"));
}

int screenshot_command(std::span<const std::string_view> words) {
    return finish("screenshot", screenshot(words));
}

}  // namespace mynah
