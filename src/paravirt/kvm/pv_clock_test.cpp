#include "paravirt/kvm/pv_clock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "paravirt/kvm/recording_host_test.h"
#include "spec/kvm/paravirt.h"

namespace mynah {
namespace {

using kvm_guest::SystemTime;

constexpr uint64_t kHz = 2'600'000'000;

// What a guest makes of a structure at a TSC [msr.rst].
uint64_t guest_ns(const SystemTime& time, uint64_t tsc) {
    uint64_t delta = tsc - time.tsc_timestamp;
    delta = time.tsc_shift < 0 ? delta >> -time.tsc_shift : delta << time.tsc_shift;
    using Wide = unsigned __int128;
    return time.system_time + static_cast<uint64_t>(Wide{delta} * time.tsc_to_system_mul >> 32);
}

class PvClockTest : public ::testing::Test {
  protected:
    static constexpr uint64_t kSize = 1 << 20;
    static constexpr GuestPhys kFirst{0x1000}, kSecond{0x1040};

    PvClockTest() {
        const GuestMemory::Range range{GuestPhys(0), kSize};
        memory = GuestMemory::create({&range, 1}).take_value();
        clock = std::make_unique<PvClock>(DmaView(*memory), host, kHz, 2);
        clock->reset(0);
    }
    SystemTime at(GuestPhys where) { return *DmaView(*memory).load<SystemTime>(where); }

    testing::RecordingKvmHost host;
    std::unique_ptr<GuestMemory> memory;
    std::unique_ptr<PvClock> clock;
};

TEST(TscScale, IsExactToTheLastBitOfItsMultiplier) {
    for (const uint64_t hz :
         {uint64_t{1000}, uint64_t{999'999'999}, uint64_t{1'000'000'000}, uint64_t{1'000'000'001},
          kHz, uint64_t{5'000'000'000}, (uint64_t{1} << 40) - 1}) {
        const TscScale scale = TscScale::of(hz);
        EXPECT_GE(scale.mul, 1u << 31) << hz;
        for (const uint64_t seconds : {1u, 60u, 86400u}) {
            const double ns = static_cast<double>(scale.ns(hz * seconds));
            const double right = static_cast<double>(seconds) * 1e9;
            // A unit of the multiplier, and what a right shift cuts off.
            EXPECT_NEAR(ns, right, right / (1u << 31) + 1024) << hz << " " << seconds;
        }
    }
}

TEST_F(PvClockTest, GuestReadsTheMachinesTime) {
    host.tsc = 5 * kHz;
    host.ns = 7'000'000'000;
    clock->reset(1000);
    clock->place(VcpuIndex(0), kFirst);
    const SystemTime time = at(kFirst);
    EXPECT_EQ(time.version, 2u);
    EXPECT_EQ(time.flags, kvm_guest::kTscStable);
    EXPECT_EQ(guest_ns(time, 5 * kHz + 1000), 7'000'000'000u);
    EXPECT_NEAR(static_cast<double>(guest_ns(time, 65 * kHz + 1000)), 67e9, 30);
    // Linux takes the TSC's frequency from the multiplier, in kHz.
    const uint64_t khz = ((1'000'000ull << 32) / time.tsc_to_system_mul) << -time.tsc_shift;
    EXPECT_EQ(khz, kHz / 1000);
}

TEST_F(PvClockTest, AllAreToldByOneMoment) {
    clock->place(VcpuIndex(0), kFirst);
    host.tsc = kHz;
    host.ns = 1'000'100'000;  // the clocks have drifted apart
    clock->place(VcpuIndex(1), kSecond);
    for (const uint64_t tsc : {kHz, 3 * kHz})
        EXPECT_EQ(guest_ns(at(kFirst), tsc), guest_ns(at(kSecond), tsc));
}

TEST_F(PvClockTest, AMovedTscMovesNothingButTheStableFlag) {
    clock->place(VcpuIndex(0), kFirst);
    clock->place(VcpuIndex(1), kSecond);
    const uint32_t version = at(kFirst).version;
    clock->tsc_moved(VcpuIndex(1), 12345);
    EXPECT_EQ(guest_ns(at(kSecond), kHz + 12345), guest_ns(at(kFirst), kHz));
    EXPECT_EQ(at(kFirst).flags & kvm_guest::kTscStable, 0);
    EXPECT_EQ(at(kSecond).flags & kvm_guest::kTscStable, 0);
    EXPECT_EQ(at(kFirst).version, version + 2);
    clock->tsc_moved(VcpuIndex(0), 12345);
    EXPECT_EQ(guest_ns(at(kFirst), kHz + 12345), guest_ns(at(kSecond), kHz + 12345));
    EXPECT_NE(at(kFirst).flags & kvm_guest::kTscStable, 0);
    EXPECT_NE(at(kSecond).flags & kvm_guest::kTscStable, 0);
}

TEST_F(PvClockTest, AStopIsToldUntilTheGuestSawIt) {
    clock->place(VcpuIndex(0), kFirst);
    clock->stopped();
    EXPECT_NE(at(kFirst).flags & kvm_guest::kGuestStopped, 0);
    clock->tsc_moved(VcpuIndex(1), 1);  // another change, before the guest looked
    EXPECT_NE(at(kFirst).flags & kvm_guest::kGuestStopped, 0);
    const GuestPhys flags = kFirst + offsetof(SystemTime, flags);
    ASSERT_TRUE(DmaView(*memory).store(flags, uint8_t{0}));
    clock->tsc_moved(VcpuIndex(1), 0);
    EXPECT_EQ(at(kFirst).flags, kvm_guest::kTscStable);
}

TEST_F(PvClockTest, NothingIsWrittenAfterItWasSwitchedOffOrReset) {
    clock->place(VcpuIndex(0), kFirst);
    clock->place(VcpuIndex(0), std::nullopt);
    clock->stopped();
    EXPECT_EQ(at(kFirst).version, 2u);
    clock->place(VcpuIndex(0), kFirst);
    clock->reset(0);
    clock->stopped();
    EXPECT_EQ(at(kFirst).version, 4u);
}

TEST_F(PvClockTest, AddressesThatAreNoMemoryAreHarmless) {
    for (const uint64_t bad : {kSize, kSize - 31, kSize - 1, ~uint64_t{0}, ~uint64_t{31}}) {
        clock->place(VcpuIndex(0), GuestPhys(bad));
        clock->stopped();
    }
    for (const uint64_t bad : {kSize, kSize - 3, ~uint64_t{0}, ~uint64_t{3}})
        clock->write_wall_clock(GuestPhys(bad));
    for (uint64_t i = kSize - 64; i < kSize; i += 8)
        EXPECT_EQ(*DmaView(*memory).load<uint64_t>(GuestPhys(i)), 0u);
}

TEST_F(PvClockTest, WallClockIsTheTimeOfZero) {
    host.ns = 2'000'000'001;
    host.wall = 1'700'000'005'000'000'000;
    clock->write_wall_clock(kFirst);
    const auto wall = *DmaView(*memory).load<kvm_guest::WallClock>(kFirst);
    EXPECT_EQ(wall.version, 2u);
    EXPECT_EQ(wall.sec, 1'700'000'002u);
    EXPECT_EQ(wall.nsec, 999'999'999u);
    EXPECT_EQ(clock->wall_clock(), kFirst);
}

TEST_F(PvClockTest, AnOddVersionOfTheGuestsIsMadeEven) {
    ASSERT_TRUE(DmaView(*memory).store(kFirst, uint32_t{0xffffffff}));
    clock->place(VcpuIndex(0), kFirst);
    EXPECT_EQ(at(kFirst).version, 2u);
    clock->stopped();
    EXPECT_EQ(at(kFirst).version, 4u);
}

// Another thread reads by the rules while the structure changes: what it gets is one of the states.
TEST_F(PvClockTest, AReaderNeverSeesHalfAStructure) {
    clock->place(VcpuIndex(0), kFirst);
    std::atomic<bool> stop = false;
    std::atomic<unsigned> reads = 0;
    std::thread reader([&] {
        const auto* words = reinterpret_cast<const uint64_t*>(memory->host(kFirst, 32));
        const auto* version = reinterpret_cast<const uint32_t*>(words);
        while (!stop) {
            const uint32_t before = __atomic_load_n(version, __ATOMIC_ACQUIRE);
            const uint64_t timestamp = __atomic_load_n(words + 1, __ATOMIC_ACQUIRE);
            const uint64_t flags = __atomic_load_n(words + 3, __ATOMIC_ACQUIRE) >> 40 & 1;
            if ((before & 1) != 0 || __atomic_load_n(version, __ATOMIC_ACQUIRE) != before) continue;
            // The second processor's TSC is at 0: they agree if the first one's is as well.
            ASSERT_EQ(flags, timestamp == 0 ? 1u : 0u);
            ++reads;
        }
    });
    for (uint64_t turn = 1; turn < 1000 || (reads < 100 && turn < 100'000'000); ++turn)
        clock->tsc_moved(VcpuIndex(0), turn % 2);
    stop = true;
    reader.join();
}

}  // namespace
}  // namespace mynah
