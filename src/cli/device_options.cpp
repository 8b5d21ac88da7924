#include "cli/device_options.h"

#include <fmt/core.h>

#include <algorithm>

#include "cli/option_value.h"
#include "cli/value_keys.h"

namespace mynah {
namespace {

using Kind = SerialConfig::Kind;

constexpr size_t kMaxPorts = 31;

Result<void> add_virtio_port(RunOptions& options, ConsoleConfig port) {
    auto& consoles = options.machine.devices.consoles;
    if (consoles.size() == kMaxPorts)
        return Error(fmt::format("more than {} consoles and channels", kMaxPorts));
    // Consoles come first: port 0 is the one that a driver without MULTIPORT knows.
    const auto first_channel =
        std::find_if(consoles.begin(), consoles.end(),
                     [](const ConsoleConfig& each) { return !each.console; });
    consoles.insert(port.console ? first_channel : consoles.end(), std::move(port));
    return {};
}

Result<SerialConfig> parse_place(const ValuePart& part) {
    if (part.key.empty()) {
        if (part.value == "pty" || part.value == "stdio" || part.value == "virtio")
            return SerialConfig{Kind::kStdio, "", "--console"};
        if (part.value == "none") return SerialConfig{Kind::kNone, "", "--console"};
    } else if ((part.key == "file" || part.key == "socket") && !part.value.empty()) {
        return SerialConfig{part.key == "file" ? Kind::kFile : Kind::kSocket, part.value,
                            "--console"};
    }
    return Error("expected pty, stdio, virtio, file=PATH, socket=PATH or none");
}

}  // namespace

Result<void> apply_console_option(RunOptions& options, std::string_view value) {
    const std::vector<ValuePart> parts = split_value(value);
    // `run` is in the foreground: the console it would open a pseudo-terminal for, and then attach
    // the terminal to, is the terminal.
    const SerialConfig where = TRY(parse_place(parts.front()));
    bool virtio = parts.front().value == "virtio";
    const ValueKey keys[] = {{"target_type", [&](const std::string& type) -> Result<void> {
                                  if (type != "serial" && type != "virtio")
                                      return Error("expected serial or virtio");
                                  virtio = type == "virtio";
                                  return {};
                              }}};
    TRY(apply_value_keys(std::span(parts).subspan(1), keys));
    if (virtio && where.kind != Kind::kNone) return add_virtio_port(options, {where, true, ""});
    auto& ports = options.machine.serial_ports;
    ports.insert(ports.begin(), where);
    return {};
}

Result<void> apply_channel_option(RunOptions& options, std::string_view value) {
    const std::vector<ValuePart> parts = split_value(value);
    ConsoleConfig port{{Kind::kNone, "", "--channel"}, false, ""};
    const std::string& kind = parts.front().value;
    if (!parts.front().key.empty() || (kind != "unix" && kind != "pty" && kind != "file"))
        return Error("expected unix,path=PATH, file,path=PATH or pty");
    port.where.kind = kind == "unix" ? Kind::kSocket : kind == "pty" ? Kind::kPty : Kind::kFile;
    const auto set_name = [&](const std::string& name) -> Result<void> {
        if (name.empty() || name.size() > 255) return Error("expected 1 to 255 characters");
        port.name = name;
        return {};
    };
    const ValueKey keys[] = {path_key("path", port.where.path), {"name", set_name},
                             path_key("source.path", port.where.path),
                             {"target.name", set_name}, only_key("target_type", "virtio"),
                             only_key("target.type", "virtio"), only_key("mode", "bind")};
    TRY(apply_value_keys(std::span(parts).subspan(1), keys));
    if (port.where.kind != Kind::kPty && port.where.path.empty())
        return Error("path= is missing; expected the path of a file or socket to make");
    return add_virtio_port(options, std::move(port));
}

Result<void> apply_memballoon_option(RunOptions& options, std::string_view value) {
    std::vector<ValuePart> parts = split_value(value);
    if (parts.front().key == "model") parts.front().key.clear();
    if (value == "none") return {};
    if (!parts.front().key.empty() || parts.front().value != "virtio")
        return Error("expected virtio or none");
    BalloonConfig balloon;
    const auto autodeflate = switch_key("autodeflate", balloon.deflate_on_oom);
    const ValueKey keys[] = {switch_key("deflate-on-oom", balloon.deflate_on_oom), autodeflate,
                             switch_key("free-page-reporting", balloon.free_page_reporting)};
    TRY(apply_value_keys(std::span(parts).subspan(1), keys));
    options.machine.devices.balloon = balloon;
    return {};
}

}  // namespace mynah
