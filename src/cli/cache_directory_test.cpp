#include "cli/cache_directory.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace mynah {
namespace {

TEST(CacheDirectory, FollowsTheEnvironment) {
    setenv("HOME", "/home/somebody", 1);
    unsetenv("XDG_CACHE_HOME");
    EXPECT_EQ(cache_directory("kernels"), "/home/somebody/.cache/mynah/kernels");
    setenv("XDG_CACHE_HOME", "/fast", 1);
    EXPECT_EQ(cache_directory("kernels"), "/fast/mynah/kernels");
    setenv("XDG_CACHE_HOME", "relative", 1);
    EXPECT_EQ(cache_directory("kernels"), "/home/somebody/.cache/mynah/kernels");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    EXPECT_FALSE(cache_directory("kernels").has_value());
}

}  // namespace
}  // namespace mynah
