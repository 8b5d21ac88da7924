#include "cli/switch_command.h"

#include <fmt/core.h>
#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cli/exit_status.h"
#include "cli/nearest_name.h"
#include "cli/network_option.h"
#include "cli/option_value.h"
#include "control/machine_place.h"
#include "host/event_fd.h"
#include "host/signal_watch.h"
#include "machine/network_switch.h"

namespace mynah {
namespace {

constexpr const char* kUsage =
    "usage: mynah switch NAME [--group GROUP,RULES]... [--uplink NETWORK[,RULES]]...\n"
    "A virtual switch, until a signal ends it. Machines plug in with --network switch=NAME[,RULES]\n"
    "or --network switch=NAME,group=GROUP. An uplink is a network as `mynah run --network` has it:\n"
    "user, tap=, bridge=, stream=PATH[,server=on] to another switch, and so on.\n"
    "RULES: vlan=N (access, or a trunk's own), trunk=all|N+N-N, mirror=on, rate=BITS a second.\n"
    "NAME with a '/' is the path of the switch's socket.\n";

std::string folder_of_switches() { return runtime_directory() + "/switches"; }

bool is_rule(std::string_view key) {
    return key == "vlan" || key == "trunk" || key == "mirror" || key == "rate";
}

Result<void> apply_rule(SwitchPortRules& rules, const ValuePart& part) {
    const auto apply = [&]() -> Result<void> {
        if (part.key == "vlan") {
            rules.vlan = TRY(parse_vlan(part.value));
        } else if (part.key == "trunk") {
            TRY(parse_trunk(part.value, rules));
        } else if (part.key == "mirror") {
            rules.mirror = TRY(parse_switch(part.value));
        } else {
            rules.bytes_per_second = TRY(parse_rate(part.value));
        }
        return {};
    };
    const auto applied = apply();
    if (applied) return {};
    return Error(fmt::format("{}={}: {}", part.key, part.value, applied.error().message()));
}

Result<void> apply_group(NetworkSwitchConfig& config, std::string_view value) {
    const std::vector<ValuePart> parts = split_value(value);
    const std::string& name = parts.front().value;
    if (!parts.front().key.empty() || name.empty() || name.size() > SwitchGreeting::kMaxName)
        return Error("expected the group's name first, such as web,vlan=10");
    SwitchPortRules rules;
    for (size_t i = 1; i < parts.size(); ++i) {
        if (!is_rule(parts[i].key)) {
            return Error(fmt::format("unknown part '{}'; expected vlan=, trunk=, mirror= or rate=",
                                     parts[i].key.empty() ? parts[i].value : parts[i].key));
        }
        TRY(apply_rule(rules, parts[i]));
    }
    if (!config.groups.emplace(name, rules).second) return Error("the group was given twice");
    return {};
}

// The network as `run` parses it, without the parts that are the switch's.
Result<void> apply_uplink(NetworkSwitchConfig& config, std::string_view value) {
    NetworkSwitchConfig::Uplink uplink;
    std::string network;
    for (const ValuePart& part : split_value(value)) {
        if (is_rule(part.key)) {
            TRY(apply_rule(uplink.rules, part));
            continue;
        }
        std::string doubled;
        for (const char each : part.value) doubled += each == ',' ? ",," : std::string(1, each);
        network += fmt::format("{}{}{}{}", network.empty() ? "" : ",", part.key,
                               part.key.empty() ? "" : "=", doubled);
    }
    RunOptions run;
    TRY(apply_network_option(run, network));
    if (run.machine.networks.size() != 1)
        return Error("expected a network of this process, such as user");
    uplink.network = run.machine.networks.front();
    config.uplinks.push_back(std::move(uplink));
    return {};
}

Result<NetworkSwitchConfig> parse(std::span<const std::string_view> words) {
    constexpr std::string_view kNames[] = {"--group", "--uplink"};
    NetworkSwitchConfig config;
    const std::string name(words.front());
    if (name.empty() || name.front() == '-' || name.front() == '.')
        return Error(fmt::format("'{}': expected the switch's name first", name));
    config.socket = switch_path(name);
    for (size_t i = 1; i < words.size(); ++i) {
        const std::string_view option = words[i];
        if (option != "--group" && option != "--uplink")
            return Error(fmt::format("{}: unknown option{}", option, did_you_mean(option, kNames)));
        if (i + 1 == words.size()) return Error(fmt::format("{}: its value is missing", option));
        const std::string_view value = words[++i];
        const auto applied = option == "--group" ? apply_group(config, value)
                                                 : apply_uplink(config, value);
        if (!applied)
            return Error(fmt::format("{} {}: {}", option, value, applied.error().message()));
    }
    if (name.find('/') != std::string::npos) return config;
    for (const std::string& folder : {runtime_directory(), folder_of_switches()}) {
        if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
            return Error(fmt::format("{}: {}: {}", name, folder, std::strerror(errno)));
    }
    return config;
}

Result<void> run_switch(std::span<const std::string_view> words) {
    const NetworkSwitchConfig config = TRY(parse(words));
    const EventFd stop;
    if (!stop.valid()) return Error("no descriptor is left");
    const SignalWatch watch([&](int) { stop.signal(); });
    ::signal(SIGPIPE, SIG_IGN);
    return run_network_switch(config, stop);
}

}  // namespace

std::string switch_path(std::string_view name) {
    if (name.find('/') != std::string_view::npos) return std::string(name);
    return fmt::format("{}/{}", folder_of_switches(), name);
}

int switch_command(std::span<const std::string_view> words) {
    if (words.empty() || words.front() == "--help" || words.front() == "-h") {
        std::fputs(kUsage, words.empty() ? stderr : stdout);
        return words.empty() ? kExitError : kExitOk;
    }
    const auto done = run_switch(words);
    if (done) return kExitOk;
    std::fputs(fmt::format("mynah switch: {}\n", done.error().message()).c_str(), stderr);
    return kExitError;
}

}  // namespace mynah
