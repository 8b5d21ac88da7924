#include "cli/serial_option.h"

#include <fmt/core.h>

#include <algorithm>

#include "cli/option_value.h"

namespace mynah {
namespace {

constexpr std::string_view kExpected = "expected stdio, file=PATH, socket=PATH, pty or none";

Result<SerialConfig> parse_serial(std::string_view value) {
    using Kind = SerialConfig::Kind;
    // No splitting at commas: paths may have them, and there are no further parts.
    if (value == "stdio") return SerialConfig{Kind::kStdio, ""};
    if (value == "pty") return SerialConfig{Kind::kPty, ""};
    if (value == "none") return SerialConfig{Kind::kNone, ""};
    const size_t equals = value.find('=');
    const std::string_view key = value.substr(0, equals);
    if (equals != std::string_view::npos && (key == "file" || key == "socket")) {
        const std::string path(value.substr(equals + 1));
        if (path.empty()) return Error(fmt::format("{}= needs a path; {}", key, kExpected));
        return SerialConfig{key == "file" ? Kind::kFile : Kind::kSocket, path};
    }
    return Error(std::string(kExpected));
}

}  // namespace

Result<void> apply_serial_option(RunOptions& options, std::string_view value) {
    options.machine.serial_ports.push_back(TRY(parse_serial(value)));
    return {};
}

Result<void> apply_console_option(RunOptions& options, std::string_view value) {
    const std::vector<ValuePart> parts = split_value(value);
    for (size_t i = 1; i < parts.size(); ++i) {
        const ValuePart& part = parts[i];
        if (part.key != "target_type" || part.value != "serial") {
            return Error("this version has only target_type=serial");
        }
    }
    const std::string& kind = parts.front().value;
    if (!parts.front().key.empty() || (kind != "pty" && kind != "stdio" && kind != "none")) {
        return Error("expected pty, pty,target_type=serial or none");
    }
    // `run` is in the foreground: the console it would open a pseudo-terminal for, and then attach
    // the terminal to, is the terminal.
    auto& ports = options.machine.serial_ports;
    ports.insert(ports.begin(),
                 kind == "none" ? SerialConfig{} : SerialConfig{SerialConfig::Kind::kStdio, ""});
    return {};
}

Result<void> finish_serial_options(RunOptions& options) {
    auto& ports = options.machine.serial_ports;
    if (ports.empty()) ports.push_back({SerialConfig::Kind::kStdio, ""});
    const auto stdio = std::count_if(ports.begin(), ports.end(), [](const SerialConfig& port) {
        return port.kind == SerialConfig::Kind::kStdio;
    });
    if (stdio > 1) return Error("--serial: two ports are stdio; expected at most one");
    if (ports.size() > MachineConfig::kMaxSerialPorts) {
        return Error(fmt::format("--serial: {} ports; expected at most {}", ports.size(),
                                 MachineConfig::kMaxSerialPorts));
    }
    return {};
}

}  // namespace mynah
