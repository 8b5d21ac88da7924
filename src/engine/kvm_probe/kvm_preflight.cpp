#include "engine/kvm_probe/kvm_preflight.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/kvm.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace mynah {
namespace {

using Kind = KvmVerdict::Kind;

struct Capability {
    int number;
    const char* name;
};

// Without these a machine cannot be run [Linux Documentation/virt/kvm/api.rst]. What is merely
// better to have is not here.
constexpr std::array kNeeded{
    Capability{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
    Capability{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
    Capability{KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
    Capability{KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
    Capability{KVM_CAP_XSAVE, "KVM_CAP_XSAVE"},
    Capability{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
};

// Of the processor's maker: which module drives it.
const char* module_of(const HostFiles& files) {
    return files.processor_flag("svm") ? "kvm_amd" : "kvm_intel";
}

KvmVerdict no_virtualization(const HostFiles& files) {
    if (files.processor_flag("hypervisor")) {
        return {Kind::kNestedOff,
                "/dev/kvm is not there: this host is itself a virtual machine, and its hypervisor "
                "does not pass on hardware virtualization (no vmx or svm flag)",
                "switch nested virtualization on in the hypervisor below, for example "
                "kvm_intel.nested=1 and --cpu host-passthrough; or use --accel jit",
                ""};
    }
    return {Kind::kNoVirtualization,
            "/dev/kvm is not there: the processor shows no hardware virtualization "
            "(no vmx or svm flag)",
            "switch VT-x or SVM on in the firmware's setup, if the processor has it; or use "
            "--accel jit",
            ""};
}

KvmVerdict no_module(const HostFiles& files) {
    const char* const module = module_of(files);
    return {Kind::kNoModule, fmt::format("the kernel's module {} is not loaded", module),
            fmt::format("load {}; or use --accel jit", module),
            fmt::format("sudo modprobe {}", module)};
}

KvmVerdict no_node(const HostFiles& files) {
    if (!files.processor_flag("vmx") && !files.processor_flag("svm"))
        return no_virtualization(files);
    if (!files.exists(fmt::format("/sys/module/{}", module_of(files)))) return no_module(files);
    return {Kind::kNoNode,
            "/dev/kvm is not there though the kernel's module is loaded: a container without it",
            "give the container the device, for example by --device /dev/kvm; or use --accel jit",
            // The number of the node is fixed [Linux Documentation/admin-guide/devices.txt].
            "sudo mknod /dev/kvm c 10 232"};
}

KvmVerdict no_rights(const HostFiles& files, int error) {
    const auto group = files.group("/dev/kvm");
    if (error == EPERM || !group) {
        return {Kind::kNoRights, fmt::format("/dev/kvm: {}", std::strerror(error)),
                "the container or service is forbidden the device: allow it (a device rule "
                "\"c 10:232 rwm\"); or use --accel jit",
                ""};
    }
    if (*group == "root" || *group == "0") {
        return {Kind::kNoRights, "/dev/kvm may be opened by root alone",
                "let this user open it; or use --accel jit", "sudo setfacl -m u:$USER:rw /dev/kvm"};
    }
    return {Kind::kNoRights,
            fmt::format("/dev/kvm may be opened by the group {}, which this process is not in",
                        *group),
            fmt::format("join the group {} and log in again; or use --accel jit", *group),
            fmt::format("sudo usermod -aG {} $USER", *group)};
}

KvmVerdict not_opened(const HostFiles& files, int error) {
    switch (error) {
        case ENOENT:
            return no_node(files);
        case EACCES:
        case EPERM:
            return no_rights(files, error);
        case ENODEV:
        case ENXIO:
            // A node that was made in advance, whose module is not there.
            return files.processor_flag("vmx") || files.processor_flag("svm")
                       ? no_module(files)
                       : no_virtualization(files);
        case EBUSY:
            return {Kind::kBusy, "/dev/kvm: another hypervisor uses the processor's virtualization",
                    "end it (VirtualBox, VMware); or use --accel jit", ""};
        default:
            return {Kind::kNoMachine, fmt::format("/dev/kvm: {}", std::strerror(error)),
                    "use --accel jit", ""};
    }
}

// An open node.
KvmVerdict examine(SystemCalls& calls, int fd) {
    const int version = calls.ioctl(fd, KVM_GET_API_VERSION, uintptr_t{0});
    if (version != KVM_API_VERSION) {
        return {Kind::kWrongVersion,
                version < 0 ? fmt::format("/dev/kvm does not tell its version: {}",
                                          std::strerror(-version))
                            : fmt::format("/dev/kvm speaks version {} of its interface; expected {}",
                                          version, KVM_API_VERSION),
                "use a kernel of 2.6.22 or later; or --accel jit", ""};
    }
    for (const Capability& each : kNeeded) {
        if (calls.ioctl(fd, KVM_CHECK_EXTENSION, static_cast<uintptr_t>(each.number)) > 0) continue;
        return {Kind::kMissingCapability,
                fmt::format("the kernel's KVM does not have {}", each.name),
                "use a kernel of 4.13 or later; or --accel jit", ""};
    }
    const int machine = calls.ioctl(fd, KVM_CREATE_VM, uintptr_t{0});
    if (machine < 0) {
        return {Kind::kNoMachine, fmt::format("KVM_CREATE_VM: {}", std::strerror(-machine)),
                machine == -EBUSY ? "another hypervisor uses the processor: end it; or use "
                                    "--accel jit"
                                  : "dmesg may say why; or use --accel jit",
                machine == -EBUSY ? "" : "sudo dmesg | grep -i kvm"};
    }
    calls.close(machine);
    return {};
}

}  // namespace

const char* name_of(Kind kind) {
    switch (kind) {
        case Kind::kUsable: return "usable";
        case Kind::kNoNode: return "no-node";
        case Kind::kNoRights: return "no-rights";
        case Kind::kNoModule: return "no-module";
        case Kind::kNoVirtualization: return "no-virtualization";
        case Kind::kNestedOff: return "nested-off";
        case Kind::kBusy: return "busy";
        case Kind::kWrongVersion: return "wrong-version";
        case Kind::kMissingCapability: return "missing-capability";
        case Kind::kNoMachine: return "no-machine";
        case Kind::kEmulated: return "emulated";
    }
    return "unknown";
}

KvmVerdict kvm_preflight(SystemCalls& calls, const HostFiles& files) {
    const int fd = calls.open("/dev/kvm", O_RDWR);
    if (fd < 0) return not_opened(files, -fd);
    const KvmVerdict verdict = examine(calls, fd);
    calls.close(fd);
    return verdict;
}

}  // namespace mynah
