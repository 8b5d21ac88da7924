// Doorbells, by an engine that a test plays.

#include "machine/bell_ringer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <vector>

#include "bus/io_space.h"

namespace mynah {
namespace {

class Device final : public IoHandler {
  public:
    uint64_t read(uint64_t, unsigned) override { return 0; }
    void write(uint64_t offset, unsigned size, uint64_t value) override {
        last = offset << 32 | uint64_t{size} << 16 | value;
        ++writes;
        while (held) std::this_thread::yield();
    }
    std::atomic<uint64_t> last{0};
    std::atomic<unsigned> writes{0};
    std::atomic<bool> held{false};
};

class Bellman final : public Engine {
  public:
    std::unique_ptr<Vcpu> create_vcpu(CpuPorts&, CpuSignals&, VcpuIndex) override {
        return nullptr;
    }
    bool add_bell(const BellPlace& place, int event_fd) override {
        if (place.address == refused) return false;
        bells[place.address] = event_fd;
        places.push_back(place);
        return true;
    }
    void remove_bell(const BellPlace& place, int) override { bells.erase(place.address); }
    void ring(uint64_t address) {
        const uint64_t one = 1;
        ASSERT_EQ(::write(bells.at(address), &one, sizeof one), 8);
    }
    std::map<uint64_t, int> bells;
    std::vector<BellPlace> places;
    uint64_t refused = ~uint64_t{0};
};

bool soon(const std::function<bool()>& is_so) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!is_so()) {
        if (std::chrono::steady_clock::now() > limit) return false;
        std::this_thread::yield();
    }
    return true;
}

class BellRingerTest : public ::testing::Test {
  protected:
    BellRingerTest() { space_.tell_bells(ringer_, BellListener::Space::kMemory); }

    const std::vector<Bell> bells_{{.offset = 0x10, .value = std::nullopt},
                                   {.offset = 0x50, .size = 4, .value = 3}};
    Bellman engine_, other_;
    Device device_;
    BellRinger ringer_;
    IoSpace space_;
};

TEST_F(BellRingerTest, TheEngineHearsAndTheDeviceIsWritten) {
    ringer_.use(&engine_);
    space_.place(0x1000, 0x100, device_, bells_);
    ASSERT_EQ(engine_.bells.size(), 2u);
    EXPECT_FALSE(engine_.places[0].port);
    EXPECT_EQ(engine_.places[0].size, 0u);
    EXPECT_EQ(engine_.places[1].value, 3u);
    engine_.ring(0x1050);
    ASSERT_TRUE(soon([&] { return device_.writes == 1; }));
    EXPECT_EQ(device_.last, uint64_t{0x50} << 32 | 4 << 16 | 3);
    EXPECT_EQ(ringer_.rings(), 1u);
}

TEST_F(BellRingerTest, FollowsWhatMovesAndHearsWhatHadRung) {
    ringer_.use(&engine_);
    space_.place(0x1000, 0x100, device_, bells_);
    device_.held = true;
    engine_.ring(0x1010);
    ASSERT_TRUE(soon([&] { return device_.writes == 1; }));
    engine_.ring(0x1050);  // while the thread is busy
    device_.held = false;
    space_.place(0x3000, 0x100, device_, bells_);
    ASSERT_TRUE(soon([&] { return device_.writes == 2; }));
    EXPECT_EQ(engine_.bells.count(0x1010), 0u);
    EXPECT_EQ(engine_.bells.count(0x3010), 1u);
    space_.withdraw(device_);
    EXPECT_TRUE(engine_.bells.empty());
}

TEST_F(BellRingerTest, NobodyIsCalledThatWasForgotten) {
    ringer_.use(&engine_);
    space_.place(0x1000, 0x100, device_, bells_);
    device_.held = true;
    engine_.ring(0x1010);
    ASSERT_TRUE(soon([&] { return device_.writes == 1; }));
    engine_.ring(0x1050);
    std::atomic<bool> gone{false};
    std::thread forgetter([&] {
        space_.forget(device_);
        gone = true;
    });
    // Until the call is over, the device must stay.
    ASSERT_TRUE(soon([&] { return space_.read(0x1000, 1) == 0xff; }));
    EXPECT_FALSE(gone);
    device_.held = false;
    forgetter.join();
    EXPECT_EQ(device_.writes, 1u) << "what rang is of no use to a device that goes";
}

TEST_F(BellRingerTest, AnotherEngineTakesThem) {
    space_.place(0x1000, 0x100, device_, bells_);
    ringer_.use(&engine_);
    EXPECT_EQ(engine_.bells.size(), 2u);
    other_.refused = 0x1010;
    ringer_.use(&other_);
    EXPECT_TRUE(engine_.bells.empty());
    EXPECT_EQ(other_.bells.size(), 1u);
    other_.ring(0x1050);
    ASSERT_TRUE(soon([&] { return device_.writes == 1; }));
    ringer_.stop();
    EXPECT_TRUE(other_.bells.empty());
}

// The one that answers is the one that is woken.
TEST_F(BellRingerTest, NoBellWhereAnotherOneAnswers) {
    ringer_.use(&engine_);
    Device fixed, first;
    ASSERT_TRUE(space_.add("fixed", 0x1000, 0x20, fixed).ok());
    space_.place(0x1000, 0x100, device_, bells_);
    EXPECT_TRUE(engine_.bells.empty());
    space_.place(0x3000, 0x100, first);
    space_.place(0x3000, 0x100, device_, bells_);
    EXPECT_TRUE(engine_.bells.empty());
    space_.place(0x5000, 0x100, device_, bells_);
    EXPECT_EQ(engine_.bells.size(), 2u);
}

}  // namespace
}  // namespace mynah
