#include "machine/host_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/host_root.h"

namespace mynah {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kMib = 1 << 20, kHuge = 2 * kMib;
constexpr const char* kPool = "/sys/kernel/mm/hugepages/hugepages-2048kB/";

class HostMemoryTest : public ::testing::Test {
  protected:
    void write_pool(const char* all, const char* free, const char* promised) {
        root_.write(std::string(kPool) + "nr_hugepages", all);
        root_.write(std::string(kPool) + "free_hugepages", free);
        root_.write(std::string(kPool) + "resv_hugepages", promised);
    }
    std::string refusal(uint64_t bytes, const MemoryBacking& backing) {
        const auto checked = check_memory_backing(files_, bytes, backing);
        return checked ? "" : std::string(checked.error().message());
    }

    testing::HostRoot root_;
    const HostFiles files_{root_.path()};
};

TEST_F(HostMemoryTest, HugePagesThatAreMissingAreCounted) {
    EXPECT_THAT(refusal(kHuge, {.huge_page = kHuge}), HasSubstr("it has none that are huge"));
    write_pool("10\n", "8\n", "3\n");
    EXPECT_EQ(refusal(5 * kHuge, {.huge_page = kHuge}), "");
    const std::string said = refusal(100 * kHuge, {.huge_page = kHuge});
    EXPECT_THAT(said, HasSubstr("--memory hugepages=: 100 pages of 2 MiB are wanted"));
    EXPECT_THAT(said, HasSubstr("the host has 10, of which 5 are free"));
    EXPECT_THAT(said, HasSubstr("echo 105 > "));
    EXPECT_THAT(refusal(kHuge, {.huge_page = 1024 * kMib}),
                HasSubstr("no pages of 1 GiB; it has 2 MiB"));
    root_.write(std::string(kPool) + "nr_overcommit_hugepages", "95\n");
    EXPECT_EQ(refusal(100 * kHuge, {.huge_page = kHuge}), "");
}

TEST_F(HostMemoryTest, NodesThatAreMissingAreNamed) {
    EXPECT_EQ(refusal(kMib, {.nodes = {0}}), "");
    root_.write("/sys/devices/system/node/online", "0-1,3\n");
    EXPECT_EQ(refusal(kMib, {.nodes = {1, 3}}), "");
    EXPECT_THAT(refusal(kMib, {.nodes = {0, 2}}),
                HasSubstr("--memory host-nodes=: this host has no memory node 2; it has 0-1,3"));
}

TEST_F(HostMemoryTest, WhatIsAllocatedBeforehandMustBeAvailable) {
    root_.write("/proc/meminfo", "MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n");
    EXPECT_EQ(refusal(600 * kMib, {}), "");
    EXPECT_EQ(refusal(512 * kMib, {.preallocate = true}), "");
    EXPECT_THAT(refusal(513 * kMib, {.preallocate = true}),
                HasSubstr("513 MiB are wanted; 512 MiB are available"));
}

}  // namespace
}  // namespace mynah
