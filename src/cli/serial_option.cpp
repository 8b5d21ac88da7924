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

Result<void> finish_serial_options(RunOptions& options) {
    auto& ports = options.machine.serial_ports;
    const auto is_stdio = [](const SerialConfig& port) {
        return port.kind == SerialConfig::Kind::kStdio;
    };
    const auto& consoles = options.machine.devices.consoles;
    auto stdio = std::count_if(consoles.begin(), consoles.end(), [&](const ConsoleConfig& console) {
        return is_stdio(console.where);
    });
    // A machine without any serial port cannot say why it does not come up, but a console was
    // asked for in its place.
    if (ports.empty() && stdio == 0) ports.push_back({SerialConfig::Kind::kStdio, ""});
    stdio += std::count_if(ports.begin(), ports.end(), is_stdio);
    if (stdio > 1) {
        return Error(consoles.empty() ? "--serial: two ports are stdio; expected at most one"
                                      : "--console: two consoles or serial ports are on the "
                                        "terminal; expected at most one");
    }
    if (ports.size() > MachineConfig::kMaxSerialPorts) {
        return Error(fmt::format("--serial: {} ports; expected at most {}", ports.size(),
                                 MachineConfig::kMaxSerialPorts));
    }
    return {};
}

}  // namespace mynah
