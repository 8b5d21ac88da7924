#include "cli/run_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <array>
#include <vector>

#include "cli/option_table.h"

namespace mynah {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Result<RunOptions> parse(const std::vector<std::string_view>& words) {
    return parse_run_options(words);
}

// With a kernel, so that only what is tested can be wrong.
Result<RunOptions> parse_more(std::vector<std::string_view> words) {
    words.insert(words.begin(), {"--kernel", "k"});
    return parse(words);
}

MachineConfig machine(std::vector<std::string_view> words) {
    auto options = parse_more(std::move(words));
    EXPECT_TRUE(options) << (options ? "" : options.error().message());
    return options ? options.value().machine : MachineConfig();
}

std::string failure(std::vector<std::string_view> words) {
    const auto options = parse_more(std::move(words));
    return options ? "no error" : options.error().message();
}

TEST(RunOptions, KernelIsAllThatIsNeeded) {
    const MachineConfig config = machine({});
    EXPECT_EQ(config.kernel, "k");
    EXPECT_EQ(config.memory_bytes, 512 * kMebibyte);
    EXPECT_EQ(config.topology.vcpus(), 1u);
    ASSERT_EQ(config.serial_ports.size(), 1u);
    EXPECT_EQ(config.serial_ports[0].kind, SerialConfig::Kind::kStdio);
    EXPECT_TRUE(config.reboot);
}

TEST(RunOptions, OnlyAMachineThatWasGivenANameIsReachedByIt) {
    EXPECT_FALSE(parse_more({}).value().named);
    const auto options = parse_more({"--name", "vm1"});
    ASSERT_TRUE(options);
    EXPECT_TRUE(options.value().named);
    EXPECT_EQ(options.value().machine.name, "vm1");
    // It is a folder's name.
    for (const char* name : {"", ".", "..", ".a", "a/b"})
        EXPECT_THAT(failure({"--name", name}), HasSubstr("--name")) << name;
}

TEST(RunOptions, IssuesCommandLine) {
    const auto options = parse({"--memory", "512M", "--kernel", "vmlinuz", "--initrd", "initrd",
                                "--cmdline", "console=ttyS0"});
    ASSERT_TRUE(options);
    EXPECT_EQ(options.value().machine.initrd, "initrd");
    EXPECT_EQ(options.value().machine.command_line, "console=ttyS0");
}

TEST(RunOptions, VirtInstallsWords) {
    const auto options =
        parse({"--name", "vm1", "--ram=2048", "--vcpus", "2", "--disk",
               "path=d.img,bus=virtio,format=raw", "--graphics", "none", "--network", "none",
               "--console", "pty,target_type=serial", "--boot",
               "kernel=vmlinuz,initrd=initrd.img,kernel_args=console=ttyS0,115200 quiet"});
    ASSERT_TRUE(options) << options.error().message();
    const MachineConfig& config = options.value().machine;
    EXPECT_EQ(config.name, "vm1");
    EXPECT_EQ(config.memory_bytes, 2048 * kMebibyte);
    EXPECT_EQ(config.kernel, "vmlinuz");
    EXPECT_EQ(config.command_line, "console=ttyS0,115200 quiet");
    ASSERT_EQ(config.disks.size(), 1u);
    EXPECT_EQ(config.disks[0].path, "d.img");
    EXPECT_EQ(config.disks[0].format, "raw");
    EXPECT_EQ(config.serial_ports[0].kind, SerialConfig::Kind::kStdio);
}

TEST(RunOptions, MemorySizes) {
    EXPECT_EQ(machine({"--memory", "128"}).memory_bytes, 128 * kMebibyte);
    EXPECT_EQ(machine({"--memory", "1048576K"}).memory_bytes, 1024 * kMebibyte);
    EXPECT_EQ(machine({"--memory", "8G"}).memory_bytes, 8192 * kMebibyte);
    EXPECT_EQ(machine({"--memory", "8GiB"}).memory_bytes, 8192 * kMebibyte);
    EXPECT_EQ(machine({"--memory", "1t"}).memory_bytes, kMebibyte << 20);
}

TEST(RunOptions, AbsurdMemorySizesAreNamed) {
    for (const char* size : {"0", "1", "15M", "2T", "100000000", "18446744073709551616",
                             "99999999999T", "-1", "x", "", "1.5G", "512Q", "17K", "16777217K"}) {
        const std::string message = failure({"--memory", size});
        EXPECT_THAT(message, StartsWith(std::string("--memory ") + size)) << size;
        EXPECT_THAT(message, testing::AnyOf(HasSubstr("expected"), HasSubstr("too large")));
    }
}

TEST(RunOptions, WhatMemoryIsMadeOf) {
    const auto backing = [](const char* text) { return machine({"--memory", text}).memory_backing; };
    EXPECT_EQ(backing("1G").huge_page, 0u);
    EXPECT_EQ(backing("1G,hugepages=2M").huge_page, 2 * kMebibyte);
    EXPECT_EQ(backing("2G,hugepages=1G").huge_page, 1024 * kMebibyte);
    EXPECT_EQ(backing("1G,hugepages=off").huge_page, 0u);
    EXPECT_TRUE(backing("size=1G,prealloc=on").preallocate);
    const MemoryBacking nodes = backing("1G,host-nodes=0-1+3,policy=interleave");
    EXPECT_THAT(nodes.nodes, testing::ElementsAre(0, 1, 3));
    EXPECT_EQ(nodes.policy, MemoryBacking::Policy::kInterleave);
    const auto said = [](const char* text) { return failure({"--memory", text}); };
    EXPECT_THAT(said("1G,hugepages=3M"), HasSubstr("expected on, off, 2M or 1G"));
    EXPECT_THAT(said("1537M,hugepages=2M"), HasSubstr("1537 MiB are not whole huge pages of 2"));
    EXPECT_THAT(said("1G,host-nodes=0,1"), HasSubstr("unknown part '1'"));
    EXPECT_THAT(said("1G,host-nodes=x"), HasSubstr("expected numbers of memory nodes"));
    EXPECT_THAT(said("1G,policy=bind"), HasSubstr("host-nodes= are used, which is missing"));
    EXPECT_THAT(said("1G,host-nodes=0,policy=x"), HasSubstr("expected bind, interleave or"));
    EXPECT_THAT(said("1G,prealoc=on"), HasSubstr("did you mean prealloc"));
}

TEST(RunOptions, Topology) {
    const auto topology = [](const char* text) { return machine({"--vcpus", text}).topology; };
    EXPECT_EQ(topology("4").cores, 4u);
    EXPECT_EQ(topology("8,sockets=2,threads=2").cores, 2u);
    EXPECT_EQ(topology("8,cores=2").sockets, 4u);
    EXPECT_EQ(topology("sockets=2,cores=2,threads=1").vcpus(), 4u);
    EXPECT_EQ(topology("vcpus=3").vcpus(), 3u);
}

TEST(RunOptions, AbsurdVcpusAreNamed) {
    for (const char* text : {"0", "129", "-1", "x", "", "4,sockets=3", "5,cores=2", "1,threads=2",
                             "2,boards=1", "cores=100,threads=100", "4,sockets=0", "4294967297"}) {
        EXPECT_THAT(failure({"--vcpus", text}), StartsWith(std::string("--vcpus ") + text)) << text;
    }
}

TEST(RunOptions, Disks) {
    const MachineConfig config =
        machine({"--disk", "a.img,readonly=on", "--disk", "path=b,,c.img,cache=unsafe"});
    ASSERT_EQ(config.disks.size(), 2u);
    EXPECT_TRUE(config.disks[0].read_only);
    EXPECT_EQ(config.disks[1].path, "b,c.img");
    EXPECT_EQ(config.disks[1].cache, CacheMode::kUnsafe);
}

TEST(RunOptions, WrongDisksAreNamed) {
    const std::vector<std::pair<const char*, const char*>> cases{
        {"", "path= is missing"},
        {"readonly=on", "path= is missing"},
        {"path=a,format=floppy", "expected raw, qcow2"},
        {"path=a,bus=floppy", "expected virtio, scsi, sata, ide, nvme or usb"},
        {"path=a,readonly=perhaps", "expected on or off"},
        {"path=a,cache=some", "expected writeback"},
        {"path=a,size=0", "expected a size"},
        {"path=a,iops=x", "expected a whole number"},
        {"path=a,redonly=on", "did you mean readonly?"},
        {"a,b", "unknown part 'b'"},
    };
    for (const auto& [value, expected] : cases) {
        EXPECT_THAT(failure({"--disk", value}), HasSubstr(expected)) << value;
    }
}

TEST(RunOptions, SerialPorts) {
    using Kind = SerialConfig::Kind;
    const MachineConfig config = machine(
        {"--serial", "file=a,b", "--serial", "none", "--serial", "stdio", "--serial", "socket=s"});
    ASSERT_EQ(config.serial_ports.size(), 4u);
    EXPECT_EQ(config.serial_ports[0].kind, Kind::kFile);
    EXPECT_EQ(config.serial_ports[0].path, "a,b");
    EXPECT_EQ(config.serial_ports[1].kind, Kind::kNone);
    EXPECT_EQ(config.serial_ports[2].kind, Kind::kStdio);
    EXPECT_EQ(config.serial_ports[3].kind, Kind::kSocket);
    EXPECT_EQ(machine({"--serial", "pty"}).serial_ports[0].kind, Kind::kPty);
    EXPECT_EQ(machine({"--console", "none"}).serial_ports[0].kind, Kind::kNone);
}

TEST(RunOptions, WrongSerialPortsAreNamed) {
    EXPECT_THAT(failure({"--serial", "tcp=1"}), HasSubstr("expected stdio"));
    EXPECT_THAT(failure({"--serial", "file="}), HasSubstr("needs a path"));
    EXPECT_THAT(failure({"--serial", "stdio", "--serial", "stdio"}),
                HasSubstr("two ports are stdio"));
    EXPECT_THAT(failure({"--serial", "none", "--serial", "none", "--serial", "none", "--serial",
                         "none", "--serial", "none"}),
                HasSubstr("expected at most 4"));
    EXPECT_THAT(failure({"--console", "pty,target_type=xen"}), HasSubstr("serial or virtio"));
}

TEST(RunOptions, Limits) {
    EXPECT_EQ(machine({"--instruction-limit", "1000"}).instruction_limit, 1000u);
    EXPECT_EQ(machine({"--time-limit", "2.5"}).time_limit_ns, 2'500'000'000u);
    for (const char* value : {"0", "-1", "x", "", "inf", "nan", "1e300"}) {
        EXPECT_THAT(failure({"--time-limit", value}), HasSubstr("expected seconds")) << value;
    }
    EXPECT_THAT(failure({"--instruction-limit", "0"}), HasSubstr("above 0"));
}

TEST(RunOptions, ProcessorsArePinned) {
    EXPECT_TRUE(machine({"--vcpus", "2"}).pin.empty());
    EXPECT_EQ(machine({"--vcpus", "2,pin=0-1+3"}).pin, (std::vector<HostCpus>{{0, 1, 3}}));
    EXPECT_EQ(machine({"--vcpus", "2,pin=0:2-3"}).pin, (std::vector<HostCpus>{{0}, {2, 3}}));
    EXPECT_THAT(failure({"--vcpus", "3,pin=0:1"}), HasSubstr("pin= has 2 lists for 3 vCPUs"));
    EXPECT_THAT(failure({"--vcpus", "2,pin=x"}), HasSubstr("pin=x: 'x': expected numbers of host"));
    EXPECT_THAT(failure({"--vcpus", "2,pin=1-0"}), HasSubstr("'1-0'"));
}

TEST(RunOptions, UnknownOptionSuggestsTheNearest) {
    EXPECT_EQ(failure({"--memmory", "1"}), "--memmory: unknown option; did you mean --memory?");
    EXPECT_THAT(failure({"--vcpu", "1"}), HasSubstr("did you mean --vcpus?"));
    EXPECT_THAT(failure({"--no-rebot"}), HasSubstr("did you mean --no-reboot?"));
    EXPECT_EQ(failure({"--xyzzy"}), "--xyzzy: unknown option");
    EXPECT_THAT(failure({"-q"}), StartsWith("-q: unknown option"));
}

TEST(RunOptions, WhatLaterVersionsHaveIsSaidToBeMissing) {
    EXPECT_THAT(failure({"--tpm", "x"}), StartsWith("--tpm: this version does not have it"));
}

TEST(RunOptions, VdpaAndVhostInTheKernel) {
    using Kind = VhostUserConfig::Kind;
    const auto config = machine({"--vdpa", "/dev/vhost-vdpa-0,queues=2", "--network",
                                 "tap=t0,vhost=on,mac=52:54:00:00:00:01,mtu=1400", "--vsock",
                                 "cid=5,vhost=on"});
    ASSERT_EQ(config.vhost_devices.size(), 3u);
    EXPECT_EQ(config.vhost_devices[0].kind, Kind::kVdpa);
    EXPECT_EQ(config.vhost_devices[0].path, "/dev/vhost-vdpa-0");
    EXPECT_EQ(config.vhost_devices[0].queues, 2u);
    EXPECT_EQ(config.vhost_devices[1].kind, Kind::kTap);
    EXPECT_EQ(config.vhost_devices[1].path, "t0");
    EXPECT_TRUE(config.vhost_devices[1].address);
    EXPECT_EQ(config.vhost_devices[1].mtu, 1400u);
    EXPECT_EQ(config.vhost_devices[2].kind, Kind::kVsock);
    EXPECT_EQ(config.vhost_devices[2].cid, 5u);
    EXPECT_TRUE(config.networks.empty());
    EXPECT_FALSE(config.devices.vsock);
    EXPECT_THAT(failure({"--vdpa", ""}), HasSubstr("expected the path of a device or a socket"));
    EXPECT_THAT(failure({"--vdpa", "/a,queue=1"}), HasSubstr("did you mean queues"));
    EXPECT_THAT(failure({"--network", "user,vhost=on"}), HasSubstr("belongs to tap=NAME"));
    EXPECT_THAT(failure({"--network", "tap=t,vhost=maybe"}), HasSubstr("vhost=maybe: "));
    EXPECT_THAT(failure({"--network", "tap=t,vhost=on,queues=2"}), HasSubstr("no queues="));
    EXPECT_THAT(failure({"--network", "tap=t,vhost=on,model=e1000"}), HasSubstr("model=virtio"));
    EXPECT_THAT(failure({"--vsock", "cid=5,vhost=on,socket=/a"}), HasSubstr("socket=: "));
}

TEST(RunOptions, Engines) {
    using Accelerator = MachineConfig::Accelerator;
    EXPECT_EQ(machine({}).accelerator, Accelerator::kAuto);
    EXPECT_EQ(machine({"--accel", "kvm"}).accelerator, Accelerator::kKvm);
    EXPECT_FALSE(machine({"--accel", "kvm"}).slow_kvm);
    EXPECT_TRUE(machine({"--accel", "kvm,slow=on"}).slow_kvm);
    EXPECT_THAT(failure({"--accel", "jit,slow=on"}), HasSubstr("expected auto, kvm"));
    EXPECT_FALSE(machine({"--accel", "kvm,slow=on"}).kvm_without_apics);
    EXPECT_TRUE(machine({"--accel", "kvm,apic=machine,slow=on"}).kvm_without_apics);
    EXPECT_TRUE(machine({"--accel", "kvm,apic=machine,slow=on"}).slow_kvm);
    EXPECT_THAT(failure({"--accel", "kvm,apic=mine"}), HasSubstr("'apic=mine': expected auto, kvm"));
    EXPECT_THAT(failure({"--accel", "kvm,"}), HasSubstr("'': expected auto, kvm"));
}

TEST(RunOptions, TheBoardFollowsFromWhatIsBooted) {
    using Kind = MachineConfig::BoardKind;
    EXPECT_EQ(machine({}).board, Kind::kMicro);
    EXPECT_EQ(machine({"--disk", "a"}).board, Kind::kMicro) << "a kernel";
    EXPECT_EQ(machine({"--machine", "pc"}).board, Kind::kPc);
    EXPECT_EQ(machine({"--disk", "a,bus=sata"}).board, Kind::kPc) << "a disk that needs PCI";
    EXPECT_EQ(parse({"--disk", "a"}).value().machine.board, Kind::kPc);
    EXPECT_EQ(parse({"--cdrom", "a"}).value().machine.board, Kind::kPc);
    EXPECT_EQ(parse({"--firmware", "f"}).value().machine.board, Kind::kPc);
    EXPECT_THAT(parse({"--machine", "micro", "--disk", "a"}).error().message(),
                StartsWith("--kernel: missing"));
    EXPECT_THAT(failure({"--machine", "micro", "--firmware", "f"}),
                StartsWith("--firmware: the micro board has none"));
    EXPECT_THAT(failure({"--machine", "micro", "--boot", "uefi"}),
                StartsWith("--boot: the micro board boots only a kernel"));
    EXPECT_THAT(failure({"--machine", "micro", "--disk", "a,bus=nvme"}),
                StartsWith("--disk: bus: the micro board has only virtio devices"));
    EXPECT_THAT(failure({"--machine", "q35"}), HasSubstr("expected micro or pc"));
}

TEST(RunOptions, BootOrderAndFirmware) {
    using Device = BootConfig::Device;
    const BootConfig boot =
        parse({"--boot", "cdrom,hd,uefi,menu=on,nvram=v"}).value().machine.boot;
    EXPECT_THAT(boot.order, testing::ElementsAre(Device::kCdrom, Device::kDisk));
    EXPECT_TRUE(boot.uefi);
    EXPECT_TRUE(boot.menu);
    EXPECT_EQ(boot.nvram, "v");
    EXPECT_FALSE(boot.secure);
    EXPECT_TRUE(parse({"--boot", "secure=on"}).value().machine.boot.uefi);
    EXPECT_THAT(failure({"--boot", "hd,hd"}), HasSubstr("hd was given before"));
    EXPECT_THAT(failure({"--boot", "cdrm"}), HasSubstr("did you mean cdrom?"));
    EXPECT_THAT(failure({"--boot", "menu=perhaps"}), HasSubstr("expected on or off"));
    EXPECT_THAT(failure({"--boot", "nvram="}), HasSubstr("needs a value"));
}

TEST(RunOptions, Graphics) {
    const GraphicsConfig some =
        machine({"--graphics", "vnc,port=5901,listen=127.0.0.1,web=6080,password=x"}).graphics;
    EXPECT_TRUE(some.vnc && some.web);
    EXPECT_EQ(some.port, 5901);
    EXPECT_EQ(some.web_port, 6080);
    EXPECT_EQ(some.password, "x");
    EXPECT_FALSE(machine({"--graphics", "none"}).graphics.vnc);
    EXPECT_THAT(failure({"--graphics", "spice"}), HasSubstr("expected none or vnc"));
    EXPECT_THAT(failure({"--graphics", "vnc,port=x"}), HasSubstr("expected a port"));
    EXPECT_THAT(failure({"--graphics", "vnc,pasword=x"}), HasSubstr("did you mean password?"));
}

TEST(RunOptions, MemoryDevices) {
    const auto devices =
        machine({"--memdev", "virtio-mem,size=1G,requested=256,block=4M,id=extra", "--memdev",
                 "model=virtio-pmem,source.path=f,target.size=64"})
            .devices;
    ASSERT_TRUE(devices.pluggable_memory.has_value());
    EXPECT_EQ(devices.pluggable_memory->size, 1024 * kMebibyte);
    EXPECT_EQ(devices.pluggable_memory->requested, 256 * kMebibyte);
    EXPECT_EQ(devices.pluggable_memory->block, 4 * kMebibyte);
    EXPECT_EQ(devices.pluggable_memory->id, "extra");
    ASSERT_EQ(devices.persistent_memory.size(), 1u);
    EXPECT_EQ(devices.persistent_memory[0].path, "f");
    EXPECT_EQ(devices.persistent_memory[0].size, 64 * kMebibyte);
    const std::vector<std::pair<const char*, const char*>> cases{
        {"dimm", "expected virtio-mem,size="},
        {"virtio-mem", "size= is missing"},
        {"virtio-mem,size=3M", "whole blocks"},
        {"virtio-mem,size=4M,requested=6M", "requested=6291456"},
        {"virtio-mem,size=4M,block=3M", "power of two"},
        {"virtio-mem,size=lots", "expected a size"},
        {"virtio-mem,sise=4M", "did you mean size?"},
        {"virtio-pmem", "path= is missing"},
        {"virtio-pmem,path=f,size=3M", "multiple of 2 MiB"},
    };
    for (const auto& [value, expected] : cases)
        EXPECT_THAT(failure({"--memdev", value}), HasSubstr(expected)) << value;
    EXPECT_THAT(failure({"--memdev", "virtio-mem,size=4M", "--memdev", "virtio-mem,size=4M"}),
                HasSubstr("given before"));
}

TEST(RunOptions, ScsiHostsAndDisks) {
    const auto config =
        machine({"--controller", "type=scsi,model=virtio-scsi,id=a,queues=3", "--controller",
                 "scsi,packed=on", "--disk", "x,bus=scsi,controller=a,target=7,lun=300", "--disk",
                 "path=y,device=cdrom,bus=scsi"});
    ASSERT_EQ(config.scsi_hosts.size(), 2u);
    EXPECT_EQ(config.scsi_hosts[0].id, "a");
    EXPECT_EQ(config.scsi_hosts[0].virtio.queues, 3);
    EXPECT_TRUE(config.scsi_hosts[1].virtio.packed);
    EXPECT_EQ(config.disks[0].bus, DiskBus::kScsi);
    EXPECT_EQ(config.disks[0].scsi.target, 7);
    EXPECT_EQ(config.disks[0].scsi.lun, 300);
    EXPECT_TRUE(config.disks[1].cdrom);
    EXPECT_EQ(config.board, MachineConfig::BoardKind::kMicro);
    EXPECT_THAT(failure({"--controller", "scsi,model=lsilogic"}), HasSubstr("expected virtio-scsi"));
    EXPECT_THAT(failure({"--controller", "scsi,queues=0"}), HasSubstr("queues=0: expected 1 to"));
    EXPECT_THAT(failure({"--controller", "scsi,quues=2"}), HasSubstr("did you mean"));
    EXPECT_THAT(failure({"--disk", "x,bus=scsi,target=256"}), HasSubstr("expected 0 to 255"));
    EXPECT_THAT(failure({"--disk", "x,bus=scsi,lun=16384"}), HasSubstr("expected 0 to 16383"));
    EXPECT_THAT(failure({"--disk", "x,lun=1"}), HasSubstr("belong to bus=scsi"));
    EXPECT_THAT(failure({"--controller", "usb,model=xhci", "--controller", "usb,model=none"}),
                HasSubstr("given before"));
}

TEST(RunOptions, Video) {
    using Model = VideoConfig::Model;
    using Board = MachineConfig::BoardKind;
    EXPECT_EQ(machine({}).devices.video.model, Model::kDefault);
    const auto gpu = machine({"--video", "virtio,xres=1600,yres=900", "--graphics", "vnc"});
    EXPECT_EQ(gpu.devices.video.model, Model::kVirtio);
    EXPECT_EQ(gpu.devices.video.width, 1600);
    EXPECT_EQ(gpu.devices.video.height, 900);
    EXPECT_EQ(gpu.board, Board::kMicro) << "which can have it";
    EXPECT_EQ(machine({"--graphics", "vnc"}).board, Board::kPc);
    EXPECT_EQ(machine({"--video", "vga"}).board, Board::kPc);
    EXPECT_EQ(machine({"--video", "virtio,vga=on"}).board, Board::kPc);
    EXPECT_EQ(machine({"--video", "virtio,vga=off"}).devices.video.vga, false);
    EXPECT_EQ(machine({"--video", "model=none"}).devices.video.model, Model::kNone);
    EXPECT_THAT(failure({"--video", "qxl"}), HasSubstr("expected vga, virtio or none"));
    EXPECT_THAT(failure({"--video", "none,xres=640"}), HasSubstr("none takes no more"));
    EXPECT_THAT(failure({"--video", "vga,vga=off"}), HasSubstr("it goes with virtio"));
    EXPECT_THAT(failure({"--video", "virtio,xres=641"}), HasSubstr("expected an even number"));
    EXPECT_THAT(failure({"--video", "virtio,yres=5000"}), HasSubstr("200 to 4094"));
    EXPECT_THAT(failure({"--video", "virtio,xers=640"}), HasSubstr("did you mean xres?"));
    EXPECT_THAT(failure({"--machine", "micro", "--video", "vga"}), HasSubstr("--video vga"));
}

TEST(RunOptions, Iommu) {
    EXPECT_TRUE(machine({"--iommu", "virtio"}).devices.iommu);
    EXPECT_EQ(machine({"--iommu", "virtio"}).board, MachineConfig::BoardKind::kPc);
    EXPECT_EQ(machine({"--iommu", "virtio", "--network", "user,iommu=off"})
                  .networks.front().virtio.iommu,
              false);
    EXPECT_THAT(failure({"--iommu", "intel"}), HasSubstr("expected virtio or none"));
    EXPECT_THAT(failure({"--machine", "micro", "--iommu", "virtio"}), HasSubstr("--iommu"));
    EXPECT_THAT(failure({"--disk", "path=d.img,bus=virtio,iommu=on"}),
                HasSubstr("expected --iommu virtio"));
}

TEST(RunOptions, UsbControllers) {
    EXPECT_EQ(machine({"--controller", "usb,model=ehci"}).usb, UsbModel::kEhci);
    EXPECT_EQ(machine({"--controller", "type=usb,model=qemu-xhci"}).usb, UsbModel::kXhci);
    EXPECT_EQ(machine({"--controller", "usb,model=none"}).usb, UsbModel::kNone);
    EXPECT_EQ(machine({"--disk", "path=a"}).usb, UsbModel::kXhci);
    EXPECT_THAT(failure({"--controller", "usb,model=ohci"}), HasSubstr("expected xhci, ehci"));
    EXPECT_THAT(failure({"--controller", "ide"}), HasSubstr("expected usb,model="));
    EXPECT_THAT(failure({"--controller", "usb"}), HasSubstr("expected usb,model="));
    EXPECT_THAT(failure({"--controller", "usb,model=ehci", "--machine", "micro"}),
                HasSubstr("expected --machine pc"));
}

TEST(RunOptions, TheTranslatorsOptions) {
    EXPECT_EQ(failure({"--code-cache", "100K"}), "--code-cache 100K: expected 1M to 1G");
    EXPECT_THAT(failure({"--dump-code", "here"}), HasSubstr("expected an address"));
    EXPECT_THAT(failure({"--accel", "fast"}), HasSubstr("expected auto, kvm, kvm,slow=on, jit or interpreter"));
}

TEST(RunOptions, WordsThatAreNoOptionsAreNamed) {
    EXPECT_THAT(failure({"vmlinuz"}), StartsWith("'vmlinuz': unexpected"));
    EXPECT_THAT(failure({"--"}), HasSubstr("unexpected"));
    EXPECT_THAT(failure({""}), HasSubstr("unexpected"));
}

TEST(RunOptions, MissingAndSuperfluousValuesAreNamed) {
    for (const Option& option : run_option_table()) {
        if (option.value.empty()) {
            const std::string word = std::string(option.name) + "=1";
            EXPECT_THAT(failure({word}), HasSubstr("takes no value"));
        } else {
            EXPECT_THAT(failure({option.name}), testing::AnyOf(HasSubstr("its value is missing"),
                                                               HasSubstr("given twice")));
        }
    }
}

TEST(RunOptions, GivenTwiceIsAnError) {
    EXPECT_EQ(failure({"--memory", "64", "--ram", "64"}), "--ram: was given twice");
    EXPECT_THAT(failure({"--boot", "kernel=other"}), HasSubstr("was given before"));
    EXPECT_TRUE(parse_more({"--verbose", "--verbose"}));
}

TEST(RunOptions, KernelIsRequired) {
    const auto options = parse({"--memory", "64"});
    ASSERT_FALSE(options);
    EXPECT_THAT(options.error().message(), StartsWith("--kernel: missing"));
    EXPECT_TRUE(parse({"--help"}));
    EXPECT_TRUE(parse({"--version"}));
}

TEST(RunOptions, HelpNamesEveryOption) {
    const std::string help = run_help();
    for (const Option& option : run_option_table()) {
        EXPECT_THAT(help, HasSubstr(std::string(option.name)));
        EXPECT_THAT(help, HasSubstr(std::string(option.help)));
    }
    std::istringstream lines(help);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(RunOptions, VirtioConsolesAndChannels) {
    const auto config = machine({"--console", "virtio", "--channel", "unix,path=s,name=org.x",
                                 "--console", "file=f,target_type=virtio"});
    const auto& consoles = config.devices.consoles;
    ASSERT_EQ(consoles.size(), 3u);
    EXPECT_EQ(consoles[0].where.kind, SerialConfig::Kind::kStdio);
    EXPECT_EQ(consoles[1].where.path, "f");
    EXPECT_FALSE(consoles[2].console);
    EXPECT_EQ(consoles[2].name, "org.x");
    EXPECT_TRUE(config.serial_ports.empty());  // the terminal is the console's
    EXPECT_THAT(failure({"--console", "virtio", "--serial", "stdio"}), HasSubstr("at most one"));
    EXPECT_THAT(failure({"--channel", "unix"}), HasSubstr("path= is missing"));
    EXPECT_THAT(failure({"--channel", "unix,path="}), HasSubstr("expected a path"));
    EXPECT_THAT(failure({"--channel", "spicevmc"}), HasSubstr("expected unix"));
}

TEST(RunOptions, Balloon) {
    EXPECT_FALSE(machine({}).devices.balloon);
    EXPECT_FALSE(machine({"--memballoon", "none"}).devices.balloon);
    const auto config = machine({"--memballoon", "model=virtio,free-page-reporting=on"});
    ASSERT_TRUE(config.devices.balloon);
    EXPECT_TRUE(config.devices.balloon->free_page_reporting);
    EXPECT_FALSE(config.devices.balloon->deflate_on_oom);
    EXPECT_THAT(failure({"--memballoon", "xen"}), HasSubstr("virtio or none"));
    EXPECT_THAT(failure({"--memballoon", "virtio,free-page-reportin=on"}),
                HasSubstr("did you mean free-page-reporting"));
}

TEST(RunOptions, Vsock) {
    const auto config = machine({"--vsock", "cid=3,socket=/run/v"});
    ASSERT_TRUE(config.devices.vsock);
    EXPECT_EQ(config.devices.vsock->cid, 3u);
    EXPECT_EQ(config.devices.vsock->socket, "/run/v");
    for (const char* bad : {"cid=2,socket=v", "cid=4294967295,socket=v", "cid=x,socket=v", "cid=3",
                            "socket=v", "", "cid=3,socket="})
        EXPECT_THAT(failure({"--vsock", bad}), HasSubstr("expected")) << bad;
}

TEST(RunOptions, Filesystems) {
    const auto config =
        machine({"--filesystem", "/srv,data", "--filesystem", "source=/x,target=y,readonly=on"});
    ASSERT_EQ(config.devices.filesystems.size(), 2u);
    EXPECT_EQ(config.devices.filesystems[0].directory, "/srv");
    EXPECT_EQ(config.devices.filesystems[0].tag, "data");
    EXPECT_TRUE(config.devices.filesystems[1].read_only);
    EXPECT_THAT(failure({"--filesystem", "/srv"}), HasSubstr("DIRECTORY,TAG"));
    EXPECT_THAT(failure({"--filesystem", "/srv,0123456789012345678901234567890123456"}),
                HasSubstr("1 to 36 bytes"));
    EXPECT_THAT(failure({"--filesystem", "/a,t", "--filesystem", "/b,t"}),
                HasSubstr("given before"));
}

TEST(RunOptions, Inputs) {
    const auto config = machine({"--input", "tablet,bus=virtio", "--input", "keyboard"});
    ASSERT_EQ(config.devices.inputs.size(), 2u);
    EXPECT_EQ(config.devices.inputs[0], InputDevice::kTablet);
    EXPECT_EQ(config.board, MachineConfig::BoardKind::kPc);
    EXPECT_THAT(failure({"--input", "joystick"}), HasSubstr("expected keyboard"));
    EXPECT_THAT(failure({"--input", "mouse,bus=usb"}), HasSubstr("expected virtio"));
    EXPECT_THAT(failure({"--machine", "micro", "--input", "mouse"}), HasSubstr("--input"));
}

// Two machines without names on one network have different addresses; one that is started again
// has the same.
TEST(RunOptions, Identity) {
    const auto identity = [](std::vector<std::string_view> words) {
        return machine(words).identity;
    };
    const auto a = identity({"--disk", "/tmp/a.img"});
    EXPECT_EQ(identity({"--disk", "/tmp/../tmp/a.img"}), a);
    EXPECT_NE(identity({"--disk", "/tmp/b.img"}), a);
    EXPECT_EQ(identity({"--disk", "/tmp/a.img", "--name", "x"}), "x");
    const auto none = identity({"--disk", "path=/tmp/a.img,snapshot=on"});
    EXPECT_NE(none, a);
    EXPECT_THAT(none, HasSubstr("process"));
}

TEST(RunOptions, Watchdog) {
    EXPECT_EQ(machine({"--watchdog", "default"}).devices.watchdog, WatchdogAction::kReset);
    EXPECT_EQ(machine({"--watchdog", "i6300esb,action=none"}).devices.watchdog,
              WatchdogAction::kNone);
    EXPECT_THAT(failure({"--watchdog", "ib700"}), HasSubstr("expected i6300esb"));
    EXPECT_THAT(failure({"--watchdog", "i6300esb,action=pause"}), HasSubstr("expected reset"));
}

}  // namespace
}  // namespace mynah
