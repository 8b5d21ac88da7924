#include "host/host_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testing/host_root.h"

namespace mynah {
namespace {

TEST(HostFiles, ReadsBelowItsRoot) {
    testing::HostRoot root;
    root.write("/proc/meminfo", "MemTotal:  2048 kB\nMemAvailable:\t512 kB\nHuge:\n");
    root.write("/proc/cpuinfo", "vendor_id : X\nflags\t\t: fpu vmx hypervisor\nflags : svm\n");
    const HostFiles files(root.path());
    EXPECT_EQ(files.number_after("/proc/meminfo", "MemAvailable"), 512u);
    EXPECT_EQ(files.number_after("/proc/meminfo", "Mem"), std::nullopt);
    EXPECT_EQ(files.number_after("/proc/meminfo", "Huge"), std::nullopt);
    EXPECT_TRUE(files.processor_flag("vmx"));
    EXPECT_FALSE(files.processor_flag("svm"));  // the first processor speaks
    EXPECT_FALSE(files.processor_flag("vm"));
    EXPECT_EQ(files.read("/etc/nothing"), std::nullopt);
    EXPECT_EQ(files.list("/proc"), (std::vector<std::string>{"cpuinfo", "meminfo"}));
}

TEST(HostFiles, NamesTheGroupOfAFile) {
    testing::HostRoot root;
    root.write("/dev/kvm", "");
    const HostFiles files(root.path());
    EXPECT_EQ(files.group("/dev/kvm"), std::to_string(getgid()));
    root.write("/etc/group", "first:x:99999:\nvirt:x:" + std::to_string(getgid()) + ":me\n");
    EXPECT_EQ(files.group("/dev/kvm"), "virt");
    EXPECT_EQ(files.group("/dev/none"), std::nullopt);
}

}  // namespace
}  // namespace mynah
