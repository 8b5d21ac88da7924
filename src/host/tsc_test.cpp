#include "host/tsc.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace mynah {
namespace {

TEST(Tsc, FrequencyAgreesWithTheClock) {
    const double hz = static_cast<double>(host_tsc_hz());
    const auto start = std::chrono::steady_clock::now();
    const uint64_t ticks = read_host_tsc();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const double measured_ticks = static_cast<double>(read_host_tsc() - ticks);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    // Wide: the two readings at each end may lie far apart on a loaded host.
    EXPECT_NEAR(measured_ticks / seconds.count() / hz, 1.0, 0.05);
}

TEST(Tsc, IsFoundOutOnce) { EXPECT_EQ(host_tsc_hz(), host_tsc_hz()); }

}  // namespace
}  // namespace mynah
