#include "control/doctor/host_report.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "testing/host_root.h"
#include "testing/scripted_system_calls.h"

namespace mynah {
namespace {

using State = HostFinding::State;
using ::testing::HasSubstr;

class HostReport : public ::testing::Test {
  protected:
    HostReport() {
        root_.write("/proc/meminfo",
                    "MemTotal: 4194304 kB\nMemAvailable: 2097152 kB\nCommitLimit: 1048576 kB\n"
                    "Committed_AS: 524288 kB\nHugePages_Total: 4\nHugePages_Free: 3\n"
                    "Hugepagesize: 2048 kB\n");
        root_.write("/proc/sys/vm/overcommit_memory", "0\n");
        root_.write("/proc/self/ns/user", "");
        engines_.translator_speed = 2e9;
        engines_.kvm = {KvmVerdict::Kind::kNoModule, "no module", "load it", "sudo modprobe x"};
    }
    ~HostReport() override { EXPECT_TRUE(calls_.open_fds().empty()); }
    std::vector<HostFinding> findings() {
        return examine_host({calls_, HostFiles(root_.path()), engines_, io_uring_});
    }
    HostFinding find(const std::string& name) {
        for (const HostFinding& each : findings()) {
            if (each.name == name) return each;
        }
        ADD_FAILURE() << "nothing about " << name;
        return {};
    }

    testing::HostRoot root_;
    testing::ScriptedSystemCalls calls_;
    EngineMeasures engines_;
    bool io_uring_ = true;
};

TEST_F(HostReport, Engines) {
    EXPECT_THAT(find("engine jit").text, HasSubstr("2000 million instructions a second"));
    EXPECT_EQ(find("engine kvm").state, State::kMissing);
    EXPECT_EQ(find("engine kvm").command, "sudo modprobe x");
    engines_.kvm = {};
    engines_.kvm_speed = 3e9;
    EXPECT_EQ(find("engine kvm").state, State::kWorks);
    EXPECT_THAT(find("--accel auto").text, HasSubstr("chose kvm"));
    engines_.translator_speed.reset();
    EXPECT_EQ(find("engine jit").state, State::kMissing);
}

TEST_F(HostReport, Memory) {
    EXPECT_EQ(find("memory").text, "2048 MiB of 4096 MiB are available");
    EXPECT_EQ(find("overcommit").text, "mode 0; 512 MiB of 1024 MiB are committed");
    EXPECT_THAT(find("huge pages").text, HasSubstr("3 of 4 are free, each 2048 KiB"));
    EXPECT_TRUE(host_usable(findings()));
    root_.write("/proc/sys/vm/overcommit_memory", "2\n");
    EXPECT_EQ(find("overcommit").command, "sudo sysctl vm.overcommit_memory=0");
    root_.write("/proc/meminfo", "MemAvailable: 1024 kB\nHugepagesize: 2048 kB\n");
    EXPECT_EQ(find("memory").state, State::kBroken);
    EXPECT_FALSE(host_usable(findings()));
    EXPECT_EQ(find("huge pages").command, "sudo sysctl vm.nr_hugepages=512");
}

TEST_F(HostReport, Firmware) {
    EXPECT_EQ(find("SeaBIOS").command, "sudo apt-get install seabios");
    EXPECT_EQ(find("OVMF").command, "sudo apt-get install ovmf");
    EXPECT_EQ(find("iPXE").state, State::kMissing);
    root_.write("/usr/share/seabios/bios.bin", "x");
    EXPECT_EQ(find("SeaBIOS").text, "/usr/share/seabios/bios.bin, for --machine pc");
}

TEST_F(HostReport, Nodes) {
    EXPECT_THAT(find("tun").text, HasSubstr("No such file"));
    EXPECT_EQ(find("tun").command, "sudo modprobe tun");
    calls_.node("/dev/net/tun");
    EXPECT_EQ(find("tun").state, State::kWorks);
    calls_.node("/dev/vhost-net", -EACCES);
    EXPECT_EQ(find("vhost-net").command, "sudo setfacl -m u:$USER:rw /dev/vhost-net");
    EXPECT_EQ(find("vDPA").command, "sudo modprobe vhost_vdpa");
    root_.write("/dev/vhost-vdpa-0", "");
    EXPECT_THAT(find("vDPA").text, HasSubstr("1 devices"));
    EXPECT_EQ(find("VDUSE").state, State::kMissing);
}

TEST_F(HostReport, KernelSwitches) {
    EXPECT_EQ(find("io_uring").state, State::kWorks);
    EXPECT_EQ(find("user namespaces").state, State::kWorks);
    io_uring_ = false;
    EXPECT_EQ(find("io_uring").command, "");
    root_.write("/proc/sys/kernel/io_uring_disabled", "2\n");
    EXPECT_EQ(find("io_uring").command, "sudo sysctl kernel.io_uring_disabled=0");
    root_.write("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
    EXPECT_EQ(find("user namespaces").command,
              "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0");
}

TEST_F(HostReport, CgroupLimits) {
    EXPECT_EQ(find("cgroup limits").text, "none on memory and processors");
    root_.write("/proc/self/cgroup", "1:name=x:/y\n0::/mine\n");
    root_.write("/sys/fs/cgroup/mine/memory.max", "1073741824\n");
    root_.write("/sys/fs/cgroup/mine/cpu.max", "max 100000\n");
    EXPECT_EQ(find("cgroup limits").text, "memory.max 1073741824, cpu.max max 100000");
    EXPECT_EQ(find("cgroup limits").state, State::kWorks);
    root_.write("/sys/fs/cgroup/mine/memory.current", "1060000000\n");
    EXPECT_EQ(find("cgroup limits").state, State::kMissing);
    EXPECT_EQ(find("cgroup limits").command,
              "echo max | sudo tee /sys/fs/cgroup/mine/memory.max");
    root_.write("/sys/fs/cgroup/mine/memory.current", "0\n");
    root_.write("/sys/fs/cgroup/mine/cpu.max", "50000 100000\n");
    EXPECT_THAT(find("cgroup limits").text, HasSubstr("less than one processor"));
    EXPECT_EQ(find("cgroup limits").command, "echo max | sudo tee /sys/fs/cgroup/mine/cpu.max");
}

TEST_F(HostReport, IsForPeopleAndForPrograms) {
    const std::string text = host_report(findings());
    EXPECT_THAT(text, HasSubstr("missing  engine kvm       no module; load it\n"));
    EXPECT_THAT(text, HasSubstr("mend: sudo modprobe x\n"));
    const auto json = host_report_json(findings());
    EXPECT_EQ(json["usable"], true);
    EXPECT_EQ(json["findings"][0]["name"], "engine jit");
    EXPECT_EQ(json["findings"][0]["state"], "works");
}

}  // namespace
}  // namespace mynah
