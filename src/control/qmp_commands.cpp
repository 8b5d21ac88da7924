#include "control/qmp_commands.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
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

// As QEMU's, but that host side and properties come together, in the words of --disk and --network.
Result<json> device_add(ControlledMachine& machine, const json& arguments) {
    const std::string id = arguments["id"];
    const bool usable =
        !id.empty() && id.size() <= 64 && std::ranges::all_of(id, [](unsigned char c) {
            return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
        });
    if (!usable)
        return Error(
            fmt::format("device_add: id '{}': expected 1 to 64 letters, digits, '-', '_' "
                        "or '.'",
                        id));
    TRY(machine.attach(arguments["driver"], id, arguments["x-value"],
                       arguments.value("x-directory", std::string())));
    return json::object();
}

Result<json> device_del(ControlledMachine& machine, const json& arguments) {
    TRY(machine.detach(arguments["id"]));
    return json::object();
}

Result<json> query_memory_devices(ControlledMachine& machine, const json&) {
    json list = json::array();
    if (const auto memory = machine.pluggable_memory()) {
        list.push_back({{"type", "virtio-mem"},
                        {"data",
                         {{"id", memory->id},
                          {"memaddr", memory->address},
                          {"requested-size", memory->requested},
                          {"size", memory->plugged},
                          {"max-size", memory->size},
                          {"block-size", memory->block},
                          {"node", 0},
                          {"memdev", "/objects/" + memory->id}}}});
    }
    return list;
}

// The memory device whose path this is: by its name, or below /machine/peripheral.
Result<ControlledMachine::PluggableMemory> memory_at(ControlledMachine& machine,
                                                     std::string_view path) {
    constexpr std::string_view kPlace = "/machine/peripheral/";
    if (path.starts_with(kPlace)) path.remove_prefix(kPlace.size());
    const auto memory = machine.pluggable_memory();
    if (memory && memory->id == path) return *memory;
    return Error(fmt::format("path '{}': expected that of a virtio-mem device", path));
}

Result<json> qom_get(ControlledMachine& machine, const json& arguments) {
    const auto memory = TRY(memory_at(machine, arguments["path"].get<std::string>()));
    const std::string name = arguments["property"];
    if (name == "requested-size") return json(memory.requested);
    if (name == "size") return json(memory.plugged);
    if (name == "block-size") return json(memory.block);
    if (name == "memaddr") return json(memory.address);
    return Error(fmt::format(
        "property '{}': expected requested-size, size, block-size or memaddr", name));
}

Result<json> qom_set(ControlledMachine& machine, const json& arguments) {
    TRY(memory_at(machine, arguments["path"].get<std::string>()));
    const std::string name = arguments["property"];
    if (name != "requested-size")
        return Error(fmt::format("property '{}': expected requested-size", name));
    const json& value = arguments["value"];
    if (!value.is_number_unsigned() && value.get<int64_t>() < 0)
        return Error("Parameter 'value' expects a size");
    TRY(machine.request_memory(value.get<uint64_t>()));
    return json::object();
}

// What clients look at to know what is attached.
Result<json> qom_list(ControlledMachine& machine, const json& arguments) {
    if (arguments["path"] != "/machine/peripheral")
        return Error("qom-list: this version lists only path '/machine/peripheral'");
    json list = json::array();
    for (const std::string& id : machine.attached())
        list.push_back({{"name", id}, {"type", "child<virtio-pci>"}});
    return list;
}

Result<json> query_block(ControlledMachine& machine, const json&) {
    json drives = json::array();
    for (const RemovableDrive& drive : machine.removable_drives()) {
        json entry{{"device", drive.name},         {"qdev", drive.name},
                   {"removable", true},            {"locked", drive.locked},
                   {"tray_open", drive.tray_open}, {"type", "unknown"}};
        if (!drive.path.empty()) {
            entry["inserted"] = {{"file", drive.path}, {"ro", true}, {"drv", "raw"}};
        }
        drives.push_back(std::move(entry));
    }
    return drives;
}

// Old clients say `device`, newer ones `id`; without either it is the only drive there is.
Result<json> change_medium(ControlledMachine& machine, const json& arguments, std::string path) {
    const std::string drive = arguments.value("id", arguments.value("device", ""));
    if (path.find('\0') != std::string::npos || drive.find('\0') != std::string::npos)
        return Error("a name with a zero byte in it");
    TRY(machine.change_medium(drive, path, arguments.value("force", false)));
    return json::object();
}

Result<json> eject(ControlledMachine& machine, const json& arguments) {
    return change_medium(machine, arguments, "");
}

Result<json> blockdev_change_medium(ControlledMachine& machine, const json& arguments) {
    const std::string path = arguments["filename"];
    if (path.empty()) return Error("filename: expected the path of an image");
    if (arguments.value("format", "raw") != "raw")
        return Error("format: a CD image is 'raw'");
    return change_medium(machine, arguments, path);
}

Result<json> system_powerdown(ControlledMachine& machine, const json&) {
    machine.press_power_button();
    return json::object();
}

Result<json> system_reset(ControlledMachine& machine, const json&) {
    machine.reset();
    return json::object();
}

Result<json> query_engine(ControlledMachine& machine, const json&) {
    return json{{"engine", machine.engine()}, {"uses", machine.engine_uses()}};
}

Result<json> set_engine(ControlledMachine& machine, const json& arguments) {
    TRY(machine.set_engine(arguments["engine"]));
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

// What is written on the screen; a screen has so many characters.
Result<json> query_screen_text(ControlledMachine& machine, const json&) {
    return json{{"text", machine.screen_text()}};
}

// Ours: where the processors are, for mynah doctor.
Result<json> query_processors(ControlledMachine& machine, const json&) {
    json list = json::array();
    for (const auto& each : machine.processor_places())
        list.push_back({{"rip", each.rip},
                        {"rflags", each.rflags},
                        {"looks", each.looks},
                        {"halted", each.halted}});
    return list;
}

Result<json> quit(ControlledMachine& machine, const json&) {
    machine.quit();
    return json::object();
}

constexpr auto kBoolean = QmpCommand::Type::kBoolean;
constexpr std::array kCommands{
    QmpCommand{"balloon",
               {{{"value", true, QmpCommand::Type::kInteger}}},
               balloon},
    QmpCommand{"query-balloon", {}, query_balloon},
    QmpCommand{"x-balloon-free-pages", {}, balloon_free_pages},
    QmpCommand{"x-query-processors", {}, query_processors},
    QmpCommand{"x-query-screen-text", {}, query_screen_text},
    QmpCommand{"x-query-balloon-statistics", {}, query_balloon_statistics},
    QmpCommand{"x-query-engine", {}, query_engine},
    QmpCommand{"x-set-engine", {{{"engine", true}}}, set_engine},
    QmpCommand{"blockdev-change-medium",
               {{{"id", false},
                 {"device", false},
                 {"filename", true},
                 {"format", false},
                 {"force", false, kBoolean}}},
               blockdev_change_medium},
    QmpCommand{"eject",
               {{{"id", false}, {"device", false}, {"force", false, kBoolean}}},
               eject},
    QmpCommand{"query-block", {}, query_block},
    QmpCommand{"device_add",
               {{{"driver", true}, {"id", true}, {"x-value", true}, {"x-directory", false}}},
               device_add},
    QmpCommand{"device_del", {{{"id", true}}}, device_del},
    QmpCommand{"qom-get", {{{"path", true}, {"property", true}}}, qom_get},
    QmpCommand{"qom-list", {{{"path", true}}}, qom_list},
    QmpCommand{"qom-set",
               {{{"path", true}, {"property", true}, {"value", true, QmpCommand::Type::kInteger}}},
               qom_set},
    QmpCommand{"query-memory-devices", {}, query_memory_devices},
    QmpCommand{"query-commands", {}, query_commands},
    QmpCommand{"query-name", {}, query_name},
    QmpCommand{"query-status", {}, query_status},
    QmpCommand{"query-version", {}, query_version},
    QmpCommand{"quit", {}, quit},
    QmpCommand{"screendump", {{{"filename", true}, {"format", false}}}, screendump},
    QmpCommand{"system_powerdown", {}, system_powerdown},
    QmpCommand{"system_reset", {}, system_reset},
};

bool fits(const json& value, QmpCommand::Type type) {
    switch (type) {
        case QmpCommand::Type::kString:
            return value.is_string();
        case QmpCommand::Type::kBoolean:
            return value.is_boolean();
        case QmpCommand::Type::kInteger:
            return value.is_number_integer();
    }
    return false;
}

const char* name_of(QmpCommand::Type type) {
    switch (type) {
        case QmpCommand::Type::kString:
            return "string";
        case QmpCommand::Type::kBoolean:
            return "boolean";
        case QmpCommand::Type::kInteger:
            break;
    }
    return "integer";
}

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
        if (!fits(value, known->type)) {
            return Error(fmt::format("Invalid parameter type for '{}', expected: {}", name,
                                     name_of(known->type)));
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
