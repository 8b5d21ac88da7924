#include "host/cpu_affinity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <thread>

namespace mynah {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(HostCpusTest, ListsAreRead) {
    EXPECT_THAT(parse_host_cpus("2").take_value(), ElementsAre(2));
    EXPECT_THAT(parse_host_cpus("0-3").take_value(), ElementsAre(0, 1, 2, 3));
    EXPECT_THAT(parse_host_cpus("4+0-1+1").take_value(), ElementsAre(0, 1, 4));
    for (const char* bad : {"", "+", "1+", "3-1", "-1", "1-", "a", "0x1", "1-2-3", "8192", " 1"})
        EXPECT_FALSE(parse_host_cpus(bad).ok()) << bad;
}

TEST(HostCpusTest, WhatCannotBeHadIsNamed) {
    EXPECT_TRUE(check_host_cpus({0, 3}, {0, 1, 3}, 4).ok());
    const auto beyond = check_host_cpus({1, 4}, {0, 1, 3}, 4);
    ASSERT_FALSE(beyond.ok());
    EXPECT_THAT(std::string(beyond.error().message()),
                HasSubstr("host processor 4: this host has 4; expected numbers of 0-1,3"));
    const auto outside = check_host_cpus({2}, {0, 1, 3}, 4);
    ASSERT_FALSE(outside.ok());
    EXPECT_THAT(std::string(outside.error().message()), HasSubstr("cpuset"));
}

TEST(HostCpusTest, AThreadStaysWhereItIsPinned) {
    const HostCpus allowed = allowed_host_cpus().take_value();
    ASSERT_FALSE(allowed.empty());
    std::atomic<bool> pinned{false};
    std::atomic<int> seen{-1};
    std::thread thread([&] {
        while (!pinned) std::this_thread::yield();
        seen = sched_getcpu();
    });
    EXPECT_TRUE(pin_thread(thread.native_handle(), {allowed.back()}).ok());
    pinned = true;
    thread.join();
    EXPECT_EQ(seen, static_cast<int>(allowed.back()));
}

}  // namespace
}  // namespace mynah
