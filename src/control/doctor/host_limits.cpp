#include <fmt/core.h>

#include <array>
#include <sstream>

#include "control/doctor/host_examinations.h"

namespace mynah {
namespace {

using State = HostFinding::State;

// Where the kernel or a distribution may switch them off [user_namespaces(7)].
void examine_user_namespaces(const HostView& host, std::vector<HostFinding>& findings) {
    struct Switch {
        const char *path, *bad, *command;
    };
    constexpr std::array kSwitches{
        Switch{"/proc/sys/user/max_user_namespaces", "0",
               "sudo sysctl user.max_user_namespaces=10000"},
        Switch{"/proc/sys/kernel/unprivileged_userns_clone", "0",
               "sudo sysctl kernel.unprivileged_userns_clone=1"},
        Switch{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
               "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"},
    };
    if (!host.files.exists("/proc/self/ns/user")) {
        findings.push_back({"user namespaces", State::kMissing, "this kernel has none", ""});
        return;
    }
    for (const Switch& each : kSwitches) {
        if (host.files.read(each.path) != std::string(each.bad)) continue;
        findings.push_back({"user namespaces", State::kMissing,
                            fmt::format("switched off: {} is {}", each.path, each.bad),
                            each.command});
        return;
    }
    findings.push_back({"user namespaces", State::kWorks, "processes can be confined by them", ""});
}

// The folder of this process below /sys/fs/cgroup, where version 2 is [cgroups(7)].
std::string cgroup_folder(const HostFiles& files) {
    std::istringstream lines(files.read("/proc/self/cgroup").value_or(""));
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("0::")) return "/sys/fs/cgroup" + line.substr(3);
    }
    return "";
}

void examine_cgroup(const HostView& host, std::vector<HostFinding>& findings) {
    const std::string folder = cgroup_folder(host.files);
    // In a namespace of its own the process's folder is the root's.
    std::string memory, processors;
    for (const std::string& place : {folder, std::string("/sys/fs/cgroup")}) {
        if (memory.empty()) memory = host.files.read(place + "/memory.max").value_or("");
        if (processors.empty()) processors = host.files.read(place + "/cpu.max").value_or("");
    }
    const auto plain = [](const std::string& limit) {
        return limit.empty() || limit.starts_with("max");
    };
    if (plain(memory) && plain(processors)) {
        findings.push_back({"cgroup limits", State::kWorks, "none on memory and processors", ""});
        return;
    }
    findings.push_back({"cgroup limits", State::kWorks,
                        fmt::format("memory.max {}, cpu.max {}", memory.empty() ? "max" : memory,
                                    processors.empty() ? "max" : processors),
                        ""});
}

}  // namespace

void examine_limits(const HostView& host, std::vector<HostFinding>& findings) {
    examine_user_namespaces(host, findings);
    examine_cgroup(host, findings);
}

}  // namespace mynah
