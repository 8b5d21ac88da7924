#include <fmt/core.h>

#include <array>
#include <charconv>
#include <optional>
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

// One file of the process's cgroup; in a namespace of its own the process's folder is the root's.
struct CgroupFile {
    std::string path, text;
};
CgroupFile cgroup_file(const HostFiles& files, const std::string& name) {
    for (const std::string& place : {cgroup_folder(files), std::string("/sys/fs/cgroup")}) {
        const std::string path = place + "/" + name;
        if (const auto text = files.read(path); text && !text->empty()) return {path, *text};
    }
    return {"", ""};
}

// Unlimited, or a number that is too long.
std::optional<uint64_t> number_of(const std::string& text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end != text.data() ? std::optional(value) : std::nullopt;
}

// [Linux Documentation/admin-guide/cgroup-v2.rst: memory.max, memory.current, cpu.max]
void examine_cgroup(const HostView& host, std::vector<HostFinding>& findings) {
    constexpr uint64_t kLeastBytes = 64 << 20;  // the smallest machine and this program
    const CgroupFile memory = cgroup_file(host.files, "memory.max");
    const CgroupFile used = cgroup_file(host.files, "memory.current");
    const CgroupFile processors = cgroup_file(host.files, "cpu.max");
    const auto most = number_of(memory.text), quota = number_of(processors.text);
    if (!most && !quota) {
        findings.push_back({"cgroup limits", State::kWorks, "none on memory and processors", ""});
        return;
    }
    HostFinding finding{"cgroup limits", State::kWorks,
                        fmt::format("memory.max {}, cpu.max {}", most ? memory.text : "max",
                                    processors.text.empty() ? "max" : processors.text),
                        ""};
    const auto mend = [&finding](const char* why, const std::string& path) {
        finding.state = State::kMissing;
        finding.text += why;
        if (finding.command.empty())
            finding.command = fmt::format("echo max | sudo tee {}", path);
    };
    const uint64_t now = number_of(used.text).value_or(0);
    if (most && *most < now + kLeastBytes) mend("; too little memory is left for a machine", memory.path);
    // The period stands behind the quota; one processor has all of it.
    const size_t space = processors.text.find(' ');
    const auto period = space == std::string::npos ? std::nullopt
                                                   : number_of(processors.text.substr(space + 1));
    if (quota && period && *quota < *period) mend("; less than one processor", processors.path);
    findings.push_back(finding);
}

}  // namespace

void examine_limits(const HostView& host, std::vector<HostFinding>& findings) {
    examine_user_namespaces(host, findings);
    examine_cgroup(host, findings);
}

}  // namespace mynah
