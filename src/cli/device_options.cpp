#include "cli/device_options.h"

#include <fmt/core.h>

#include <algorithm>

#include "cli/option_value.h"
#include "cli/value_keys.h"
#include "cli/vhost_option.h"

namespace mynah {
namespace {

using Kind = SerialConfig::Kind;

constexpr size_t kMaxPorts = 31;

Result<void> add_virtio_port(RunOptions& options, ConsoleConfig port) {
    auto& consoles = options.machine.devices.consoles;
    if (consoles.size() == kMaxPorts)
        return Error(fmt::format("more than {} consoles and channels", kMaxPorts));
    // Consoles come first: port 0 is the one that a driver without MULTIPORT knows.
    const auto first_channel = std::find_if(
        consoles.begin(), consoles.end(), [](const ConsoleConfig& each) { return !each.console; });
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
    const ValueKey keys[] = {path_key("path", port.where.path),
                             {"name", set_name},
                             path_key("source.path", port.where.path),
                             {"target.name", set_name},
                             only_key("target_type", "virtio"),
                             only_key("target.type", "virtio"),
                             only_key("mode", "bind")};
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

Result<void> apply_vsock_option(RunOptions& options, std::string_view value) {
    constexpr uint64_t kFirst = 3, kLast = 0xfffffffe;  // [virtio-1.2 5.10.4]
    VsockConfig vsock;
    bool vhost = false;
    const auto set_cid = [&](const std::string& text) -> Result<void> {
        const auto number = parse_number(text);
        if (!number || number.value() < kFirst || number.value() > kLast)
            return Error(fmt::format("expected {} to {}", kFirst, kLast));
        vsock.cid = number.value();
        return {};
    };
    const ValueKey keys[] = {
        {"cid", set_cid}, {"cid.address", set_cid}, path_key("socket", vsock.socket),
        switch_key("vhost", vhost)};
    const std::vector<ValuePart> parts = split_value(value);
    TRY(apply_value_keys(parts, keys));
    if (vsock.cid == 0) return Error("cid= is missing; expected cid=N,socket=PATH");
    if (vhost && !vsock.socket.empty())
        return Error("socket=: with vhost=on the guest's sockets reach the host's own");
    if (vhost) return add_vhost_vsock(options, vsock.cid);
    if (vsock.socket.empty())
        return Error("socket= is missing; expected cid=N,socket=PATH or cid=N,vhost=on");
    options.machine.devices.vsock = vsock;
    return {};
}

Result<void> apply_filesystem_option(RunOptions& options, std::string_view value) {
    constexpr size_t kMaxTag = 36;  // [virtio-1.2 5.11.4]
    constexpr size_t kMost = 16;
    FilesystemConfig filesystem;
    std::vector<ValuePart> parts = split_value(value);
    if (std::ranges::find(parts, "socket", &ValuePart::key) != parts.end())
        return apply_vhost_filesystem(options, parts);  // another process serves it
    // virt-install's short form: the folder, then the tag.
    const char* const places[] = {"source", "target"};
    for (size_t i = 0; i < parts.size() && i < 2 && parts[i].key.empty(); ++i)
        parts[i].key = places[i];
    const auto set_tag = [&](const std::string& tag) -> Result<void> {
        if (tag.empty() || tag.size() > kMaxTag)
            return Error(fmt::format("expected a tag of 1 to {} bytes", kMaxTag));
        filesystem.tag = tag;
        return {};
    };
    const ValueKey keys[] = {path_key("source", filesystem.directory),
                             {"target", set_tag},
                             switch_key("readonly", filesystem.read_only),
                             only_key("driver.type", "virtiofs"),
                             only_key("type", "mount")};
    TRY(apply_value_keys(parts, keys));
    if (filesystem.directory.empty() || filesystem.tag.empty())
        return Error("expected DIRECTORY,TAG[,readonly=on]");
    auto& all = options.machine.devices.filesystems;
    if (all.size() == kMost) return Error(fmt::format("given more than {} times", kMost));
    for (const FilesystemConfig& other : all) {
        if (other.tag == filesystem.tag)
            return Error(fmt::format("the tag '{}' was given before", other.tag));
    }
    all.push_back(filesystem);
    return {};
}

Result<void> apply_input_option(RunOptions& options, std::string_view value) {
    constexpr size_t kMost = 8;
    const std::vector<ValuePart> parts = split_value(value);
    const std::string& kind = parts.front().value;
    InputDevice input = InputDevice::kKeyboard;
    if (kind == "mouse") {
        input = InputDevice::kMouse;
    } else if (kind == "tablet") {
        input = InputDevice::kTablet;
    } else if (kind != "keyboard") {
        return Error("expected keyboard, mouse or tablet");
    }
    const auto set_bus = [](const std::string& bus) -> Result<void> {
        if (bus == "virtio") return {};
        return Error("expected virtio; PS/2 devices and, with --graphics vnc, USB ones are there");
    };
    const ValueKey keys[] = {{"bus", set_bus}};
    TRY(apply_value_keys(std::span(parts).subspan(1), keys));
    auto& inputs = options.machine.devices.inputs;
    if (inputs.size() == kMost) return Error(fmt::format("given more than {} times", kMost));
    inputs.push_back(input);
    return {};
}

Result<void> apply_iommu_option(RunOptions& options, std::string_view value) {
    if (value != "virtio" && value != "none") return Error("expected virtio or none");
    options.machine.devices.iommu = value == "virtio";
    return {};
}

Result<void> apply_watchdog_option(RunOptions& options, std::string_view value) {
    std::vector<ValuePart> parts = split_value(value);
    if (parts.front().key == "model") parts.front().key.clear();
    if (!parts.front().key.empty() ||
        (parts.front().value != "i6300esb" && parts.front().value != "default")) {
        return Error("expected i6300esb[,action=reset|poweroff|shutdown|none]");
    }
    WatchdogAction action = WatchdogAction::kReset;
    const auto set_action = [&](const std::string& word) -> Result<void> {
        if (word == "reset") {
            action = WatchdogAction::kReset;
        } else if (word == "poweroff") {
            action = WatchdogAction::kPowerOff;
        } else if (word == "shutdown") {
            action = WatchdogAction::kShutdown;
        } else if (word == "none") {
            action = WatchdogAction::kNone;
        } else {
            return Error("expected reset, poweroff, shutdown or none");
        }
        return {};
    };
    const ValueKey keys[] = {{"action", set_action}};
    TRY(apply_value_keys(std::span(parts).subspan(1), keys));
    options.machine.devices.watchdog = action;
    return {};
}

}  // namespace mynah
