#include "cli/serve_command.h"

#include <fmt/core.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/device_options.h"
#include "cli/disk_option.h"
#include "cli/exit_status.h"
#include "cli/nearest_name.h"
#include "cli/network_option.h"
#include "cli/option_value.h"
#include "host/event_fd.h"
#include "host/signal_watch.h"
#include "machine/served_device.h"

namespace mynah {
namespace {

constexpr const char* kUsage =
    "usage: mynah serve blk --socket PATH --disk path=FILE[,KEY=VALUE]... [--queues N]\n"
    "       mynah serve net --socket PATH --network user|tap=NAME|...[,KEY=VALUE]...\n"
    "       mynah serve fs  --socket PATH --filesystem DIRECTORY,TAG[,readonly=on]\n"
    "       mynah serve vdpa --socket PATH --disk ...|--network ... [--queues N]\n"
    "       mynah serve blk --vduse NAME --disk ... [--queues N]\n"
    "A device for machines of other processes, over vhost-user, until a signal ends it; vdpa: by "
    "the\n"
    "requests of a vDPA device, for --vdpa PATH; --vduse: as the vDPA device NAME of this host's\n"
    "kernel. Options as `mynah run` has them.\n";

struct ServeOptions {
    std::string socket, vduse;
    std::optional<DiskConfig> disk;
    std::optional<NetworkConfig> network;
    std::optional<FilesystemConfig> filesystem;
    uint16_t queues = 1;
};

Result<void> apply_disk(ServeOptions& options, std::string_view value) {
    RunOptions run;
    TRY(apply_disk_option(run, value));
    if (run.machine.disks.size() != 1) return Error("expected path=FILE");
    options.disk = run.machine.disks.front();
    return {};
}

Result<void> apply_network(ServeOptions& options, std::string_view value) {
    RunOptions run;
    TRY(apply_network_option(run, value));
    if (run.machine.networks.size() != 1)
        return Error("expected a network of this process, such as user");
    options.network = run.machine.networks.front();
    return {};
}

Result<void> apply_filesystem(ServeOptions& options, std::string_view value) {
    RunOptions run;
    TRY(apply_filesystem_option(run, value));
    if (run.machine.devices.filesystems.size() != 1) return Error("expected DIRECTORY,TAG");
    options.filesystem = run.machine.devices.filesystems.front();
    return {};
}

Result<void> apply(ServeOptions& options, std::string_view name, std::string_view value) {
    constexpr std::string_view kNames[] = {"--socket",     "--vduse",  "--disk", "--network",
                                           "--filesystem", "--queues"};
    if (name == "--socket") {
        if (value.empty()) return Error("expected a path");
        options.socket = value;
        return {};
    }
    if (name == "--vduse") {
        constexpr size_t kLongest = 255;  // VDUSE_NAME_MAX
        if (value.empty() || value.size() > kLongest || value.find('/') != value.npos ||
            value == "control" || value.front() == '.') {
            return Error(fmt::format("expected a name of 1 to {} characters without '/', and not "
                                     "control", kLongest));
        }
        options.vduse = value;
        return {};
    }
    if (name == "--disk") return apply_disk(options, value);
    if (name == "--network") return apply_network(options, value);
    if (name == "--filesystem") return apply_filesystem(options, value);
    if (name == "--queues") {
        const auto number = parse_number(value);
        if (!number || number.value() == 0 || number.value() > ServedDevice::kMaxDiskQueues)
            return Error(fmt::format("expected 1 to {}", ServedDevice::kMaxDiskQueues));
        options.queues = static_cast<uint16_t>(number.value());
        return {};
    }
    return Error(fmt::format("unknown option{}", did_you_mean(name, kNames)));
}

Result<ServeOptions> parse(std::span<const std::string_view> words) {
    ServeOptions options;
    for (size_t i = 0; i < words.size(); ++i) {
        std::string_view name = words[i];
        std::optional<std::string_view> value;
        if (const size_t equals = name.find('='); equals != std::string_view::npos) {
            value = name.substr(equals + 1);
            name = name.substr(0, equals);
        } else if (i + 1 < words.size()) {
            value = words[++i];
        }
        const auto applied = apply(options, name, value.value_or(""));
        if (!applied)
            return Error(
                fmt::format("{} {}: {}", name, value.value_or(""), applied.error().message()));
    }
    if (!options.socket.empty() && !options.vduse.empty())
        return Error("--vduse: expected it, or --socket");
    if (options.socket.empty() && options.vduse.empty()) return Error("--socket: missing; expected --socket PATH");
    return options;
}

Result<std::unique_ptr<ServedDevice>> make(std::string_view kind, const ServeOptions& options) {
    const bool vdpa = kind == "vdpa";
    if (!options.vduse.empty() && kind != "blk")
        return Error("--vduse: belongs to mynah serve blk");
    if (options.disk && kind != "blk" && !vdpa)
        return Error("--disk: belongs to mynah serve blk or vdpa");
    if (options.queues != 1 && kind != "blk" && !(vdpa && options.disk))
        return Error("--queues: belongs to mynah serve blk, or to a disk of vdpa");
    if (options.network && kind != "net" && !vdpa)
        return Error("--network: belongs to mynah serve net or vdpa");
    if (vdpa && options.disk.has_value() == options.network.has_value())
        return Error("--disk: expected one, or a --network, for mynah serve vdpa");
    if (options.filesystem && kind != "fs") return Error("--filesystem: belongs to mynah serve fs");
    if (kind == "blk" || (vdpa && options.disk)) {
        if (!options.disk) return Error("--disk: missing; expected --disk path=FILE");
        return ServedDevice::block(*options.disk, options.queues);
    }
    if (kind == "fs") {
        if (!options.filesystem)
            return Error("--filesystem: missing; expected --filesystem DIRECTORY,TAG");
        return ServedDevice::filesystem(*options.filesystem);
    }
    if (!options.network) return Error("--network: missing; expected --network user, for one");
    return ServedDevice::network(*options.network);
}

Result<void> serve(std::string_view kind, std::span<const std::string_view> words) {
    constexpr std::string_view kKinds[] = {"blk", "net", "fs", "vdpa"};
    if (std::ranges::find(kKinds, kind) == std::end(kKinds))
        return Error(
            fmt::format("'{}': expected blk, net, fs or vdpa{}", kind, did_you_mean(kind, kKinds)));
    const ServeOptions options = TRY(parse(words));
    const EventFd stop;
    if (!stop.valid()) return Error("no descriptor is left");
    const SignalWatch watch([&](int) { stop.signal(); });
    ::signal(SIGPIPE, SIG_IGN);
    const auto device = TRY(make(kind, options));
    if (!options.vduse.empty()) return device->serve_vduse(options.vduse, stop);
    if (kind == "vdpa") return device->serve_vdpa(options.socket, stop);
    return device->serve(options.socket, stop);
}

}  // namespace

int serve_command(std::span<const std::string_view> words) {
    if (words.empty() || words.front() == "--help" || words.front() == "-h") {
        std::fputs(kUsage, words.empty() ? stderr : stdout);
        return words.empty() ? kExitError : kExitOk;
    }
    const auto served = serve(words.front(), words.subspan(1));
    if (served) return kExitOk;
    std::fputs(fmt::format("mynah serve: {}\n", served.error().message()).c_str(), stderr);
    return kExitError;
}

}  // namespace mynah
