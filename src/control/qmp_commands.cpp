#include "control/qmp_commands.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace mynah {
namespace {

using nlohmann::json;

Result<json> query_version(ControlledMachine&, const json&) { return qmp_version(); }

Result<json> query_commands(ControlledMachine&, const json&) {
    json names = json::array();
    names.push_back({{"name", "qmp_capabilities"}});
    for (const QmpCommand& command : qmp_commands()) names.push_back({{"name", command.name}});
    return names;
}

// A machine cannot be paused, and one that has ended answers no more.
Result<json> query_status(ControlledMachine&, const json&) {
    return json{{"status", "running"}, {"running", true}, {"singlestep", false}};
}

Result<json> query_name(ControlledMachine& machine, const json&) {
    return json{{"name", machine.name()}};
}

Result<json> screendump(ControlledMachine& machine, const json& arguments) {
    // Without a format QMP means PPM.
    const auto format = arguments.find("format");
    if (format == arguments.end() || *format != "png")
        return Error("screendump: this version writes only PNG; expected format 'png'");
    const std::string path = arguments["filename"];
    if (path.empty() || path.find('\0') != std::string::npos)
        return Error("screendump: expected the path of a file to write");
    TRY(machine.screenshot(path));
    return json::object();
}

Result<json> system_powerdown(ControlledMachine& machine, const json&) {
    machine.press_power_button();
    return json::object();
}

Result<json> system_reset(ControlledMachine& machine, const json&) {
    machine.reset();
    return json::object();
}

Result<json> balloon(ControlledMachine& machine, const json& arguments) {
    const json& value = arguments["value"];
    if (!value.is_number_unsigned() && value.get<int64_t>() < 0)
        return Error("Parameter 'value' expects a size");
    TRY(machine.set_balloon(value.get<uint64_t>()));
    return json::object();
}

Result<json> query_balloon(ControlledMachine& machine, const json&) {
    return json{{"actual", TRY(machine.balloon_actual())}};
}

// QEMU has these as a property of a device, whose path is its own affair.
Result<json> query_balloon_statistics(ControlledMachine& machine, const json&) {
    return json{{"stats", TRY(machine.balloon_statistics())}};
}

Result<json> balloon_free_pages(ControlledMachine& machine, const json&) {
    TRY(machine.ask_for_free_pages());
    return json::object();
}

Result<json> quit(ControlledMachine& machine, const json&) {
    machine.quit();
    return json::object();
}

constexpr std::array kCommands{
    QmpCommand{"balloon",
               {{{"value", true, QmpCommand::Argument::Type::kInteger}, {}}},
               balloon},
    QmpCommand{"query-balloon", {}, query_balloon},
    QmpCommand{"x-balloon-free-pages", {}, balloon_free_pages},
    QmpCommand{"x-query-balloon-statistics", {}, query_balloon_statistics},
    QmpCommand{"query-commands", {}, query_commands},
    QmpCommand{"query-name", {}, query_name},
    QmpCommand{"query-status", {}, query_status},
    QmpCommand{"query-version", {}, query_version},
    QmpCommand{"quit", {}, quit},
    QmpCommand{"screendump", {{{"filename", true}, {"format", false}}}, screendump},
    QmpCommand{"system_powerdown", {}, system_powerdown},
    QmpCommand{"system_reset", {}, system_reset},
};

}  // namespace

std::span<const QmpCommand> qmp_commands() { return kCommands; }

const QmpCommand* find_qmp_command(std::string_view name) {
    const auto found = std::ranges::find(kCommands, name, &QmpCommand::name);
    return found == kCommands.end() ? nullptr : &*found;
}

Result<void> check_qmp_arguments(const QmpCommand& command, const json& arguments) {
    for (const auto& [name, value] : arguments.items()) {
        const auto known = std::ranges::find(command.arguments, name, &QmpCommand::Argument::name);
        if (name.empty() || known == command.arguments.end())
            return Error(fmt::format("Parameter '{}' is unexpected", name));
        const bool integer = known->type == QmpCommand::Argument::Type::kInteger;
        if (integer ? !value.is_number_integer() : !value.is_string()) {
            return Error(fmt::format("Invalid parameter type for '{}', expected: {}", name,
                                     integer ? "integer" : "string"));
        }
    }
    for (const QmpCommand::Argument& argument : command.arguments) {
        if (argument.needed && !arguments.contains(argument.name))
            return Error(fmt::format("Parameter '{}' is missing", argument.name));
    }
    return {};
}

// The commands are QEMU 7.2's, which is what a client wants to know; who it talks to is the
// package.
json qmp_version() {
    return {{"qemu", {{"major", 7}, {"minor", 2}, {"micro", 0}}}, {"package", "mynah"}};
}

}  // namespace mynah
