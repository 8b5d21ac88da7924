#include "paravirt/kvm/pv_steal_time.h"

#include <gtest/gtest.h>

#include <memory>

#include "paravirt/kvm/recording_host_test.h"
#include "spec/kvm/paravirt.h"

namespace mynah {
namespace {

using kvm_guest::StealTime;

class PvStealTimeTest : public ::testing::Test {
  protected:
    static constexpr uint64_t kSize = 1 << 20;
    static constexpr GuestPhys kWhere{0x2040};

    PvStealTimeTest() {
        const GuestMemory::Range range{GuestPhys(0), kSize};
        memory = GuestMemory::create({&range, 1}).take_value();
        steal.emplace(DmaView(*memory), host, VcpuIndex(1));
        steal->enter();
    }
    StealTime now() { return *DmaView(*memory).load<StealTime>(kWhere); }
    void guest_writes_preempted(uint8_t value) {
        ASSERT_TRUE(DmaView(*memory).store(kWhere + offsetof(StealTime, preempted), value));
    }

    testing::RecordingKvmHost host;
    std::unique_ptr<GuestMemory> memory;
    std::optional<PvStealTime> steal;
};

TEST_F(PvStealTimeTest, AddsWhatTheHostTookSinceItWasSwitchedOn) {
    host.delay = 5'000'000;  // before the guest asked: not its business
    steal->place(kWhere);
    EXPECT_EQ(now().steal, 0u);
    host.delay += 700;
    steal->leave();
    steal->enter();
    EXPECT_EQ(now().steal, 700u);
    EXPECT_EQ(now().version, 2u);
    steal->leave();
    steal->enter();  // nothing was taken: nothing is written
    EXPECT_EQ(now().version, 2u);
}

TEST_F(PvStealTimeTest, ABusyProcessorIsToldWithoutBeingStopped) {
    steal->place(kWhere);
    const unsigned asked = host.delay_asked;
    host.delay = 900;
    host.ns += 999'999;
    steal->refresh();
    EXPECT_EQ(host.delay_asked, asked) << "too soon for a system call";
    host.ns += 1;
    steal->refresh();
    EXPECT_EQ(now().steal, 900u);
    steal->refresh();
    EXPECT_EQ(host.delay_asked, asked + 1);
}

TEST_F(PvStealTimeTest, CountsOnFromWhatIsThere) {
    ASSERT_TRUE(DmaView(*memory).store(kWhere, uint64_t{1'000'000}));
    steal->place(kWhere);
    host.delay = 10;
    steal->leave();
    steal->enter();
    EXPECT_EQ(now().steal, 1'000'010u);
}

TEST_F(PvStealTimeTest, SaysWhetherItRuns) {
    guest_writes_preempted(0xff);
    steal->place(kWhere);
    EXPECT_EQ(now().preempted, 0);
    steal->leave();
    EXPECT_EQ(now().preempted, kvm_guest::kPreempted);
    steal->enter();
    EXPECT_EQ(now().preempted, 0);
    EXPECT_TRUE(host.flushed.empty());
}

TEST_F(PvStealTimeTest, ARequestToFlushIsKeptAndDoneBeforeItRuns) {
    steal->place(kWhere);
    steal->leave();
    guest_writes_preempted(kvm_guest::kPreempted | kvm_guest::kFlushTlb);
    steal->leave();  // it was looked at while it slept: the request stays
    EXPECT_EQ(now().preempted, kvm_guest::kPreempted | kvm_guest::kFlushTlb);
    steal->enter();
    EXPECT_EQ(host.flushed, std::vector<uint32_t>{1});
    EXPECT_EQ(now().preempted, 0);
    steal->enter();
    EXPECT_EQ(host.flushed.size(), 1u);
}

TEST_F(PvStealTimeTest, SwitchedOffItWritesNothing) {
    steal->place(kWhere);
    steal->place(std::nullopt);
    host.delay = 100;
    host.ns = 1'000'000'000;
    steal->leave();
    steal->enter();
    steal->refresh();
    EXPECT_EQ(now().steal, 0u);
    EXPECT_EQ(now().preempted, 0);
}

// A kernel begins with adding the thread's whole delay, and goes on with what comes.
TEST_F(PvStealTimeTest, AKernelCountsOnAndIsCountedOnFrom) {
    host.delay = 5'000;
    steal->place(kWhere);
    host.delay += 300;
    steal->leave();
    steal->lend();
    EXPECT_EQ(now().steal + host.delay, 300u);
    EXPECT_EQ(now().preempted, kvm_guest::kPreempted);
    host.delay += 20;
    ASSERT_TRUE(DmaView(*memory).store(kWhere, now().steal + host.delay));
    host.ns += 1'000'000'000;
    steal->enter();
    steal->refresh();
    steal->leave();
    EXPECT_EQ(now().steal, 320u) << "it is the kernel's";
    host.delay += 1'000;
    steal->take_back(kWhere);
    EXPECT_EQ(now().steal, 320u);
    host.delay += 7;
    steal->enter();
    EXPECT_EQ(now().steal, 327u);
}

TEST_F(PvStealTimeTest, NothingToLend) {
    host.delay = 5'000;
    steal->leave();
    steal->lend();
    steal->take_back(std::nullopt);
    steal->enter();
    EXPECT_EQ(now().steal, 0u);
}

TEST_F(PvStealTimeTest, NoMemoryThereIsHarmless) {
    for (const uint64_t bad : {kSize, ~uint64_t{63}, uint64_t{1} << 52}) {
        steal->place(GuestPhys(bad));
        host.delay += 100;
        host.ns += 10'000'000;
        steal->leave();
        steal->enter();
        steal->refresh();
    }
    EXPECT_TRUE(host.flushed.empty());
}

}  // namespace
}  // namespace mynah
