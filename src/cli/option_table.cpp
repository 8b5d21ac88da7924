#include "cli/option_table.h"

#include <fmt/core.h>

#include <array>

#include "cli/boot_option.h"
#include "cli/controller_option.h"
#include "cli/cpu_options.h"
#include "cli/device_options.h"
#include "cli/disk_option.h"
#include "cli/graphics_option.h"
#include "cli/memdev_option.h"
#include "cli/memory_option.h"
#include "cli/network_option.h"
#include "cli/option_value.h"
#include "cli/serial_option.h"
#include "cli/vhost_option.h"
#include "cli/video_option.h"

namespace mynah {
namespace {

using Value = std::string_view;

Result<void> set_path(std::string& place, Value value, std::string_view what) {
    if (value.empty()) return Error(fmt::format("expected {}", what));
    if (!place.empty()) return Error("was given before, by --boot");
    place = value;
    return {};
}

// An option with a few words as values, of which this version has `here`.
Result<void> apply_name(RunOptions& options, Value value) {
    constexpr size_t kLongest = 64;
    if (value.empty() || value.size() > kLongest || value.find('/') != Value::npos ||
        value.front() == '.') {
        return Error("expected a name of 1 to 64 characters without '/' that begins with no '.'");
    }
    options.machine.name = value;
    options.named = true;
    return {};
}

Result<void> apply_kernel(RunOptions& options, Value value) {
    return set_path(options.machine.kernel, value, "the path of a Linux bzImage or vmlinux");
}
Result<void> apply_initrd(RunOptions& options, Value value) {
    if (!options.machine.initrd) options.machine.initrd.emplace();
    return set_path(*options.machine.initrd, value, "the path of a cpio archive");
}
Result<void> apply_cmdline(RunOptions& options, Value value) {
    if (!options.machine.command_line.empty()) return Error("was given before, by --boot");
    options.machine.command_line = value;
    return {};
}
Result<void> apply_unpack(RunOptions& options, Value value) {
    options.machine.unpack_kernel = TRY(parse_switch(value));
    return {};
}
Result<void> apply_machine(RunOptions& options, Value value) {
    if (value == "micro") {
        options.board = MachineConfig::BoardKind::kMicro;
    } else if (value == "pc") {
        options.board = MachineConfig::BoardKind::kPc;
    } else {
        return Error("expected micro or pc");
    }
    return {};
}
Result<void> apply_firmware(RunOptions& options, Value value) {
    return set_path(options.machine.firmware, value, "the path of a firmware image");
}
Result<void> apply_kernel_cache(RunOptions& options, Value value) {
    options.kernel_cache = TRY(parse_switch(value));
    return {};
}

// `rest`: ",slow=on,apic=machine", or some of it.
Result<void> apply_kvm(MachineConfig& machine, std::string_view rest) {
    while (!rest.empty()) {
        const std::string_view word = rest.substr(1, rest.find(',', 1) - 1);
        rest.remove_prefix(1 + word.size());
        if (word == "slow=on") {
            machine.slow_kvm = true;
        } else if (word == "apic=machine" || word == "apic=kernel") {
            machine.kvm_without_apics = word == "apic=machine";
        } else {
            return Error(fmt::format(
                "'{}': expected auto, kvm, kvm,slow=on, kvm,apic=kernel|machine, jit or interpreter",
                word));
        }
    }
    return {};
}

Result<void> apply_accel(RunOptions& options, Value value) {
    using Accelerator = MachineConfig::Accelerator;
    options.accelerator_given = true;
    if (value == "auto") {
        options.machine.accelerator = Accelerator::kAuto;
    } else if (value == "kvm" || value.starts_with("kvm,")) {
        options.machine.accelerator = Accelerator::kKvm;
        options.machine.slow_kvm = options.machine.kvm_without_apics = false;
        return apply_kvm(options.machine, value.substr(3));
    } else if (value == "jit") {
        options.machine.accelerator = Accelerator::kTranslator;
    } else if (value == "interpreter") {
        options.machine.accelerator = Accelerator::kInterpreter;
    } else {
        return Error("expected auto, kvm, kvm,slow=on, jit or interpreter");
    }
    return {};
}

Result<void> apply_code_cache(RunOptions& options, Value value) {
    const auto size = TRY(parse_memory_size(value));
    constexpr uint64_t kLeast = kMebibyte, kMost = 1024 * kMebibyte;
    if (size < kLeast || size > kMost) return Error("expected 1M to 1G");
    options.machine.code_cache = size;
    return {};
}
Result<void> apply_perf_map(RunOptions& options, Value) {
    options.machine.translator.perf_map = true;
    return {};
}
Result<void> apply_dump_code(RunOptions& options, Value value) {
    options.machine.translator.dump_code = TRY(parse_address(value));
    return {};
}

Result<void> apply_lockstep(RunOptions& options, Value) {
    options.machine.translator.lockstep = true;
    return {};
}

Result<void> apply_cpu(RunOptions& options, Value value) {
    if (value.empty()) return Error("expected MODEL[,+FEATURE][,-FEATURE], such as max");
    options.machine.cpu = value;
    return {};
}
Result<void> apply_hypervisor(RunOptions& options, Value value) {
    using Hypervisor = MachineConfig::Hypervisor;
    options.machine.hypervisor = value == "kvm" ? Hypervisor::kKvm : Hypervisor::kNone;
    if (value == "kvm" || value == "none") return {};
    const bool planned = value == "hyperv" || value == "xen";
    return Error(planned ? "this version does not have it; expected none or kvm"
                         : "expected none or kvm");
}

Result<void> apply_instruction_limit(RunOptions& options, Value value) {
    const auto number = parse_number(value);
    if (!number || number.value() == 0) return Error("expected a number of instructions above 0");
    options.machine.instruction_limit = number.value();
    return {};
}
Result<void> apply_time_limit(RunOptions& options, Value value) {
    const double seconds = TRY(parse_seconds(value));
    options.machine.time_limit_ns = static_cast<uint64_t>(seconds * 1e9);
    return {};
}

Result<void> apply_verbose(RunOptions& options, Value) {
    options.verbose = true;
    return {};
}
Result<void> apply_no_reboot(RunOptions& options, Value) {
    options.machine.reboot = false;
    return {};
}
Result<void> apply_dump(RunOptions& options, Value) {
    options.dump_registers = true;
    return {};
}
Result<void> apply_help(RunOptions& options, Value) {
    options.help = true;
    return {};
}
Result<void> apply_json(RunOptions& options, Value) {
    options.json = true;
    return {};
}
Result<void> apply_version(RunOptions& options, Value) {
    options.version = true;
    return {};
}

constexpr std::array kOptions{
    Option{"--name", "", "NAME",
           "what the machine is called, and reached by: mynah screenshot NAME FILE", false,
           apply_name},
    Option{"--memory", "--ram", "SIZE[,KEY=VALUE]...",
           "guest memory in MiB, or with suffix K, M, G, T (512M).\n"
           "        hugepages=on, 2M or 1G: made of the host's huge pages, which must be free;\n"
           "        prealloc=on: all allocated before the machine starts; host-nodes=0-1+3: from\n"
           "        these of the host's memory nodes, policy=bind, interleave or preferred",
           false, apply_memory_option},
    Option{"--vcpus", "", "N[,sockets=N,cores=N,threads=N][,pin=CPUS]",
           "processors, each on a host thread (1); pin: on which of the host's processors they\n"
           "        run: 0-3 or 0-1+4; or for each vCPU, with colons: 0:2-3",
           false, apply_vcpus_option},
    Option{"--cpu", "", "MODEL[,+F,-F][,F=on|off][,enforce]",
           "processor model and features (max); what a model has and cannot be had here is\n"
           "        named, and refused with enforce",
           false, apply_cpu},
    Option{"--accel", "", "auto|kvm[,slow=on][,apic=kernel|machine]|jit|interpreter",
           "how guest code is run; auto: KVM where it is measured to be fast, else jit, the\n"
           "        translator. slow=on: KVM even where the host emulates it;\n"
           "        apic: who has the local APICs on KVM (kernel, if it can)",
           false, apply_accel},
    Option{"--code-cache", "", "SIZE",
           "host memory for translated code, in MiB or with suffix (micro: 20M, pc: 64M)", false,
           apply_code_cache},
    Option{"--dump-code", "", "ADDRESS",
           "print guest code, analysis and host code of blocks that start at ADDRESS", false,
           apply_dump_code},
    Option{"--lockstep", "", "",
           "run translated blocks on the interpreter as well; stop at the first difference", false,
           apply_lockstep},
    Option{"--perf-map", "", "", "write /tmp/perf-PID.map, by which perf names guest code", false,
           apply_perf_map},
    Option{"--machine", "", "micro|pc", "board: micro has neither firmware nor PCI; pc is complete",
           false, apply_machine},
    Option{"--firmware", "", "FILE", "BIOS or UEFI image of the pc board (the packaged one)", false,
           apply_firmware},
    Option{"--kernel", "", "FILE", "Linux bzImage, or ELF vmlinux with a PVH entry", false,
           apply_kernel},
    Option{"--initrd", "", "FILE", "initial RAM disk", false, apply_initrd},
    Option{"--cmdline", "--kernel-args", "TEXT", "the kernel's command line, such as console=ttyS0",
           false, apply_cmdline},
    Option{"--boot", "", "hd,cdrom,network,uefi,secure=on,menu=on,nvram=FILE",
           "boot order and firmware; or kernel=,initrd=,kernel_args=", true, apply_boot_option},
    Option{"--unpack-kernel", "", "on|off", "unpack a bzImage here instead of in the guest (on)",
           false, apply_unpack},
    Option{"--kernel-cache", "", "on|off",
           "keep the unpacked kernel in the user's cache directory for the next time (on)", false,
           apply_kernel_cache},
    Option{"--disk", "", "path=FILE[,KEY=VALUE]...",
           "disk; vhost-user=PATH[,queues=N]: one that another process serves.\n"
           "        format=raw, qcow2, vhdx, vhd, vmdk or vdi (by its first bytes, else raw);\n"
           "        size=GIB makes it if it is not there; bus=virtio, scsi, sata, ide, nvme\n      "
           "  or usb;\n"
           "        readonly=on; snapshot=on forgets at the end what is written; cache=writeback,\n"
           "        none, writethrough, directsync or unsafe; discard=unmap or ignore;\n"
           "        copy_on_read=on; iops=N and bps=BYTES limit what it does in a second; "
           "serial=TEXT;\n"
           "        data_file=FILE of a qcow2 image whose data is not beside it.\n"
           "        virtio: queues=N, packed=on, in_order=on, iommu=off. scsi: controller=ID,\n"
           "        target=N, lun=N. device=cdrom: a CD drive. Repeatable",
           true, apply_disk_option},
    Option{"--cdrom", "", "FILE", "a CD drive with this image. Repeatable", true,
           apply_cdrom_option},
    Option{"--serial", "", "stdio|file=PATH|socket=PATH|pty|none",
           "where COM1 goes (stdio); again for COM2 to COM4", true, apply_serial_option},
    Option{"--console", "", "pty|virtio|file=PATH|socket=PATH|none[,target_type=serial|virtio]",
           "as virt-install: COM1, or a virtio console (/dev/hvc0), on this terminal. Repeatable",
           true, apply_console_option},
    Option{"--channel", "", "unix,path=PATH|file,path=PATH|pty[,name=NAME]",
           "a byte stream to the guest's /dev/virtio-ports/NAME. Repeatable", true,
           apply_channel_option},
    Option{"--graphics", "", "none|vnc[,listen=][,port=][,socket=][,web=on][,password=]",
           "who may see the screen, by VNC and by a browser (none)", false, apply_graphics_option},
    Option{
        "--controller", "", "usb,model=xhci|ehci|none or scsi[,KEY=VALUE]...",
        "the USB controller of a pc (xhci); ehci: with UHCI companions, for older systems.\n"
        "        scsi: a virtio SCSI host; id=NAME, queues=N, packed=on, in_order=on. Repeatable",
        true, apply_controller_option},
    Option{
        "--network", "", "KIND[=WHERE][,KEY=VALUE]...",
        "a network card; KIND: user, tap=NAME, bridge=NAME, stream=PATH, dgram=PATH,\n"
        "        passt[=PATH], switch=NAME, vhost-user=PATH or none. It is behind the host's\n"
        "        sockets (user), or has a cable to an interface, another machine, or QEMU.\n"
        "        All: model=virtio, mac=ADDRESS, mtu=BYTES, pcap=FILE.\n"
        "        user: restrict=on, hostfwd=tcp:[ADDRESS]:PORT-:PORT, tftp=FOLDER, "
        "bootfile=NAME.\n        stream: server=on. dgram: peer=PATH. vhost-user: queues=PAIRS.\n"
        "        tap: vhost=on, the host's kernel moves the frames (/dev/vhost-net).\n"
        "        switch: vlan=N, trunk=all|N+N-N, group=NAME, mirror=on, rate=BITS.\n"
        "        virtio: queues=PAIRS, packed=on, in_order=on, iommu=off,\n"
        "        rss=on, hash=on (receive-side scaling, hash reports). Repeatable",
        true, apply_network_option},
    Option{"--memballoon", "", "virtio[,deflate-on-oom=on][,free-page-reporting=on]|none",
           "a memory balloon, moved by QMP's balloon (none)", false, apply_memballoon_option},
    Option{
        "--memdev", "", "virtio-mem,size=SIZE[,KEY=VALUE]...|virtio-pmem,path=FILE[,size=SIZE]",
        "memory by a device. virtio-mem: plugged while the machine runs, by QMP's qom-set of its\n"
        "        requested-size; requested=SIZE to begin with, block=SIZE (2M), id=NAME (mem0).\n"
        "        virtio-pmem: a file (/dev/pmem0), made if it is not there. Sizes in MiB or with "
        "a\n"
        "        suffix. Repeatable",
        true, apply_memdev_option},
    Option{
        "--vsock", "", "cid=N,socket=PATH|cid=N,vhost=on",
        "sockets between guest and host: who connects to PATH and says CONNECT PORT reaches\n   "
        "     "
        "the guest's port; the guest's connections go to PATH_PORT; vhost=on: they reach\n        "
        "sockets (AF_VSOCK) of the host, by its kernel (/dev/vhost-vsock)",
        false, apply_vsock_option},
    Option{"--filesystem", "", "DIRECTORY,TAG[,readonly=on]|socket=PATH,TAG[,queues=N]",
           "a folder of the host for the guest, or what virtiofsd serves at a socket:\n        "
           "mount -t virtiofs TAG PLACE. Repeatable",
           true, apply_filesystem_option},
    Option{"--video", "", "vga|virtio|none[,vga=off][,xres=N][,yres=N]",
           "the display adapter (pc: vga, micro: none). virtio: a GPU, which on a pc is a VGA as\n"
           "        well, unless vga=off. xres, yres: what the monitor likes best (1280, 800)",
           false, apply_video_option},
    Option{"--input", "", "keyboard|mouse|tablet[,bus=virtio]",
           "a virtio input device of a machine with a screen. Repeatable", true,
           apply_input_option},
    Option{
        "--iommu", "", "virtio|none",
        "an IOMMU between a pc's devices and memory; iommu=off leaves a virtio disk or card out\n"
        "        (none)",
        false, apply_iommu_option},
    Option{"--watchdog", "", "i6300esb[,action=reset|poweroff|shutdown|none]",
           "a watchdog on a pc, and what happens when the guest does not feed it (reset)", false,
           apply_watchdog_option},
    Option{"--device", "", "vhost-user,type=N,socket=PATH[,queues=N][,queue-size=N]",
           "any virtio device whose requests another process carries out. Repeatable", true,
           apply_device_option},
    Option{"--vdpa", "", "PATH[,queues=N][,mac=ADDRESS]",
           "a vDPA device: /dev/vhost-vdpa-N, or the socket of `mynah serve vdpa`; a disk, or a\n"
           "        network card. Repeatable",
           true, apply_vdpa_option},
    Option{"--hypervisor", "", "none|kvm",
           "whose paravirtual interfaces the guest finds: none, or KVM's clock, steal time,\n"
           "        spinlocks, IPIs and ends of interrupts, also without KVM (none)",
           false, apply_hypervisor},
    Option{"--no-reboot", "--noreboot", "", "a guest's reset ends the machine", false,
           apply_no_reboot},
    Option{"--instruction-limit", "", "N",
           "end, with status 3, when a processor has run N instructions", false,
           apply_instruction_limit},
    Option{"--time-limit", "", "SECONDS", "end, with status 3, after so long", false,
           apply_time_limit},
    Option{"--dump-registers", "", "", "show the processors' registers if the guest crashes", false,
           apply_dump},
    Option{"--verbose", "", "", "tell what is done, and a summary at the end", false,
           apply_verbose},
    Option{"--json", "", "", "say what keeps a named engine from running as JSON", false,
           apply_json},
    Option{"--help", "-h", "", "this text", false, apply_help},
    Option{"--version", "", "", "the version", false, apply_version},
};

constexpr std::array kMissing{
    MissingOption{"--location", "expected --kernel FILE"},
    MissingOption{"--import", "expected --kernel FILE"},
    MissingOption{"--pxe", "expected --kernel FILE"},
    MissingOption{"--controller", ""},
    MissingOption{"--sound", ""},
    MissingOption{"--hostdev", ""},
    MissingOption{"--rng", "an entropy device is always there"},
    MissingOption{"--tpm", ""},
    MissingOption{"--parallel", ""},
    MissingOption{"--panic", ""},
    MissingOption{"--virt-type", "expected --accel auto, kvm, jit or interpreter"},
};

}  // namespace

std::span<const Option> run_option_table() { return kOptions; }
std::span<const MissingOption> missing_option_table() { return kMissing; }

}  // namespace mynah
