#include <fcntl.h>
#include <fmt/core.h>
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "control/doctor/host_examinations.h"

namespace mynah {
namespace {

using State = HostFinding::State;

struct Node {
    const char* name;
    const char* path;
    const char* use;
    const char* module;
};

constexpr std::array kNodes{
    Node{"tun", "/dev/net/tun", "--network tap and bridge", "tun"},
    Node{"vhost-net", "/dev/vhost-net", "networks in the kernel", "vhost_net"},
    Node{"vhost-vsock", "/dev/vhost-vsock", "sockets in the kernel", "vhost_vsock"},
    Node{"VDUSE", "/dev/vduse/control", "devices of other programs, by vDPA", "vduse"},
};

void examine_node(const HostView& host, const Node& node, std::vector<HostFinding>& findings) {
    const int fd = host.calls.open(node.path, O_RDWR);
    if (fd >= 0) {
        host.calls.close(fd);
        findings.push_back(
            {node.name, State::kWorks, fmt::format("{}, for {}", node.path, node.use), ""});
        return;
    }
    const bool rights = fd == -EACCES || fd == -EPERM;
    findings.push_back(
        {node.name, State::kMissing,
         fmt::format("{}: {}; for {}", node.path, std::strerror(-fd), node.use),
         rights ? fmt::format("sudo setfacl -m u:$USER:rw {}", node.path)
                : fmt::format("sudo modprobe {}", node.module)});
}

// vDPA devices get a node each, by number.
void examine_vdpa(const HostView& host, std::vector<HostFinding>& findings) {
    constexpr std::string_view kPrefix = "vhost-vdpa-";
    unsigned count = 0;
    for (const std::string& name : host.files.list("/dev")) count += name.starts_with(kPrefix);
    findings.push_back({"vDPA", count > 0 ? State::kWorks : State::kMissing,
                        count > 0 ? fmt::format("{} devices /dev/vhost-vdpa-*", count)
                                  : "no device /dev/vhost-vdpa-*",
                        count > 0 ? "" : "sudo modprobe vhost_vdpa"});
}

void examine_io_uring(const HostView& host, std::vector<HostFinding>& findings) {
    if (host.io_uring) {
        findings.push_back({"io_uring", State::kWorks, "disks use it", ""});
        return;
    }
    const bool switched = host.files.read("/proc/sys/kernel/io_uring_disabled").value_or("0") != "0";
    findings.push_back({"io_uring", State::kMissing,
                        fmt::format("refused; disks use threads instead{}",
                                    switched ? "; kernel.io_uring_disabled is set" : ""),
                        switched ? "sudo sysctl kernel.io_uring_disabled=0" : ""});
}

}  // namespace

void examine_devices(const HostView& host, std::vector<HostFinding>& findings) {
    for (const Node& node : kNodes) examine_node(host, node, findings);
    examine_vdpa(host, findings);
    examine_io_uring(host, findings);
}

void examine_firmware(const HostView& host, std::vector<HostFinding>& findings) {
    struct Package {
        const char *name, *use, *package;
        std::array<const char*, 3> places;
    };
    // What the boards look for (machine/boards/pc_firmware.cpp, machine/option_rom.cpp).
    constexpr std::array kPackages{
        Package{"SeaBIOS", "--machine pc", "seabios",
                {"/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/bios-256k.bin",
                 "/usr/share/seabios/bios.bin"}},
        Package{"OVMF", "--boot uefi", "ovmf",
                {"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/edk2/ovmf/OVMF_CODE.fd",
                 "/usr/share/OVMF/OVMF_CODE.fd"}},
        Package{"iPXE", "--boot network", "ipxe-qemu",
                {"/usr/lib/ipxe/qemu", nullptr, nullptr}},
    };
    for (const Package& each : kPackages) {
        std::optional<std::string_view> found;
        for (const char* const place : each.places) {
            if (!found && place != nullptr && host.files.exists(place)) found = place;
        }
        findings.push_back({each.name, found ? State::kWorks : State::kMissing,
                            found ? fmt::format("{}, for {}", *found, each.use)
                                  : fmt::format("not found; for {}", each.use),
                            found ? "" : fmt::format("sudo apt-get install {}", each.package)});
    }
}

}  // namespace mynah
