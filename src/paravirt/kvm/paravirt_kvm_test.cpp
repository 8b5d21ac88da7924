#include "paravirt/kvm/paravirt_kvm.h"

#include <gtest/gtest.h>

#include <memory>

#include "paravirt/kvm/recording_host_test.h"
#include "spec/kvm/paravirt.h"
#include "spec/x86/control_registers.h"
#include "spec/x86/segment.h"

namespace mynah {
namespace {

namespace msr = kvm_guest::msr;
namespace feature = kvm_guest::feature;
using kvm_guest::Hypercall;
using ::testing::Test;

class ParavirtKvmTest : public Test {
  protected:
    static constexpr uint64_t kSize = 1 << 20, kHz = 2'000'000'000;

    ParavirtKvmTest() {
        const GuestMemory::Range range{GuestPhys(0), kSize};
        memory = GuestMemory::create({&range, 1}).take_value();
        make();
        state.cr0 = x86::cr0::kPe;
        state.efer = x86::efer::kLme | x86::efer::kLma;
        state.segment(x86::Segment::kCs).attributes = x86::segment_attribute::kLong;
    }
    void make() {
        kvm = std::make_unique<ParavirtKvm>(*memory, host, kHz, 2);
        kvm->reset(0);
    }
    ParavirtKvmVcpu& vcpu(uint32_t i = 0) { return kvm->vcpu(VcpuIndex(i)); }
    template <typename T>
    T load(uint64_t where) {
        return *DmaView(*memory).load<T>(GuestPhys(where));
    }
    uint64_t call(uint64_t number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0) {
        state.gpr[kRax] = number;
        state.gpr[kRbx] = a;
        state.gpr[kRcx] = b;
        state.gpr[kRdx] = c;
        state.gpr[kRsi] = d;
        vcpu().hypercall(state);
        return state.gpr[kRax];
    }
    uint64_t call(Hypercall number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0,
                  uint64_t d = 0) {
        return call(static_cast<uint64_t>(number), a, b, c, d);
    }
    void leave_long_mode() { state.segment(x86::Segment::kCs).attributes = 0; }

    testing::RecordingKvmHost host;
    std::unique_ptr<GuestMemory> memory;
    std::unique_ptr<ParavirtKvm> kvm;
    CpuState state;
};

TEST_F(ParavirtKvmTest, AnnouncesWhatIsThere) {
    auto policy = CpuidPolicy::create("max", {}, kHz).take_value();
    kvm->announce(policy);
    const CpuidPolicy::Dynamic dynamic{};
    const CpuidLeaf signature = policy.query(0x40000000, 0, dynamic);
    EXPECT_EQ(signature.ebx, 0x4b4d564bu);
    EXPECT_EQ(signature.ecx, 0x564b4d56u);
    EXPECT_EQ(signature.edx, 0x4du);
    EXPECT_GE(signature.eax, 0x40000001u);
    const CpuidLeaf features = policy.query(0x40000001, 0, dynamic);
    EXPECT_EQ(features.eax, kvm->features());
    EXPECT_EQ(features.edx, 0u);
    constexpr uint32_t kRefused = feature::kAsyncPageFault | feature::kAsyncPageFaultExit |
                                  feature::kAsyncPageFaultInterrupt | feature::kMapGpaRange |
                                  feature::kMsiExtendedDestination | feature::kMigrationControl;
    EXPECT_EQ(features.eax & kRefused, 0u);
}

TEST_F(ParavirtKvmTest, StealTimeNeedsAHostThatCounts) {
    EXPECT_NE(kvm->features() & feature::kStealTime, 0u);
    host.counts_delay = false;
    make();
    EXPECT_EQ(kvm->features() & (feature::kStealTime | feature::kPvTlbFlush), 0u);
    EXPECT_FALSE(vcpu().write_msr(msr::kStealTime, 0x1001));
    EXPECT_FALSE(vcpu().read_msr(msr::kStealTime));
}

TEST_F(ParavirtKvmTest, AnEngineMayNotHaveAllOfIt) {
    kvm->limit(feature::kClock | feature::kClockStable);
    EXPECT_EQ(kvm->features(), feature::kClock | feature::kClockStable);
    EXPECT_FALSE(vcpu().write_msr(msr::kPvEoi, 0x1001));
    EXPECT_FALSE(vcpu().read_msr(msr::kPvEoi));
    EXPECT_FALSE(vcpu().write_msr(msr::kStealTime, 0x1001));
    EXPECT_TRUE(vcpu().write_msr(msr::kSystemTime, 0x1001));
    EXPECT_EQ(ParavirtKvm::names(kvm->features()),
              (std::vector<std::string>{"kvmclock", "kvmclock-stable-bit"}));
}

TEST_F(ParavirtKvmTest, AnEngineGoesOnWithStealTimeAndTheFlag) {
    ASSERT_TRUE(vcpu().write_msr(msr::kStealTime, 0x2001));
    ASSERT_TRUE(vcpu().write_msr(msr::kPvEoi, 0x3001));
    ASSERT_TRUE(vcpu().write_msr(msr::kSystemTime, 0x4001));
    const ParavirtMsrs lent = vcpu().lend();
    EXPECT_EQ(lent.steal_time, 0x2001u);
    EXPECT_EQ(lent.pv_eoi, 0x3001u);
    EXPECT_FALSE(vcpu().silent_eoi().offer());
    EXPECT_EQ(load<kvm_guest::SystemTime>(0x4000).version, 2u);
    host.ns = 5'000'000;
    kvm->clock().stopped();
    EXPECT_EQ(load<kvm_guest::SystemTime>(0x4000).version, 4u) << "the clock stays";
    vcpu().take_back({.steal_time = 0x5001, .pv_eoi = 0x6001});
    EXPECT_EQ(vcpu().read_msr(msr::kStealTime), 0x5001u);
    EXPECT_EQ(vcpu().read_msr(msr::kPvEoi), 0x6001u);
    EXPECT_TRUE(vcpu().silent_eoi().offer());
    EXPECT_EQ(load<uint8_t>(0x6000), kvm_guest::kEoiPending);
    host.delay += 9;
    vcpu().enter();
    EXPECT_EQ(load<kvm_guest::StealTime>(0x5000).steal, 9u);
}

TEST_F(ParavirtKvmTest, MsrsKeepWhatIsWritten) {
    for (const uint32_t index : {msr::kSystemTime, msr::kStealTime, msr::kPvEoi}) {
        EXPECT_EQ(vcpu().read_msr(index), 0u) << std::hex << index;
        EXPECT_TRUE(vcpu().write_msr(index, 0x3001)) << std::hex << index;
        EXPECT_EQ(vcpu().read_msr(index), 0x3001u) << std::hex << index;
        EXPECT_EQ(vcpu(1).read_msr(index), 0u) << std::hex << index;
    }
    EXPECT_TRUE(vcpu().write_msr(msr::kWallClock, 0x5000));
    EXPECT_EQ(vcpu(1).read_msr(msr::kWallClockOld), 0x5000u) << "one for the machine";
    EXPECT_EQ(vcpu().read_msr(msr::kSystemTimeOld), 0x3001u) << "two numbers of one register";
    vcpu().init();
    for (const uint32_t index : {msr::kSystemTime, msr::kStealTime, msr::kPvEoi})
        EXPECT_EQ(vcpu().read_msr(index), 0u) << std::hex << index;
}

TEST_F(ParavirtKvmTest, WhatIsNotAnnouncedIsRefused) {
    for (const uint32_t index : {msr::kAsyncPageFault, msr::kAsyncPageFaultInterrupt,
                                 msr::kAsyncPageFaultAck, msr::kMigrationControl}) {
        EXPECT_TRUE(ParavirtKvmVcpu::owns_msr(index));
        EXPECT_FALSE(vcpu().read_msr(index)) << std::hex << index;
        EXPECT_FALSE(vcpu().write_msr(index, 0)) << std::hex << index;
        EXPECT_FALSE(vcpu().write_msr(index, 1)) << std::hex << index;
    }
    EXPECT_FALSE(ParavirtKvmVcpu::owns_msr(0x4b564d09));
    EXPECT_FALSE(ParavirtKvmVcpu::owns_msr(0x10));
    EXPECT_FALSE(vcpu().write_msr(0x4b564d09, 0));
    for (uint64_t bit = 1; bit < 6; ++bit)
        EXPECT_FALSE(vcpu().write_msr(msr::kStealTime, 0x1001 | 1u << bit)) << bit;
    EXPECT_FALSE(vcpu().write_msr(msr::kPvEoi, 0x1003));
}

TEST_F(ParavirtKvmTest, TheClockIsToldAtBothNumbers) {
    EXPECT_TRUE(vcpu().write_msr(msr::kSystemTimeOld, 0x1001));
    EXPECT_EQ(load<kvm_guest::SystemTime>(0x1000).version, 2u);
    EXPECT_TRUE(vcpu(1).write_msr(msr::kSystemTime, 0x2001));
    EXPECT_EQ(load<kvm_guest::SystemTime>(0x2000).version, 2u);
    EXPECT_TRUE(vcpu(1).write_msr(msr::kSystemTime, 0x3000));  // switched off
    EXPECT_EQ(load<kvm_guest::SystemTime>(0x3000).version, 0u);
}

TEST_F(ParavirtKvmTest, EndOfInterruptByTheFlag) {
    SilentEoi& eoi = vcpu().silent_eoi();
    EXPECT_FALSE(eoi.offer());
    EXPECT_FALSE(eoi.withdraw());
    ASSERT_TRUE(vcpu().write_msr(msr::kPvEoi, 0x4005));
    EXPECT_TRUE(eoi.offer());
    EXPECT_EQ(load<uint8_t>(0x4004), 1);
    EXPECT_FALSE(eoi.withdraw());  // the guest did not use it
    EXPECT_EQ(load<uint8_t>(0x4004), 0);
    EXPECT_TRUE(eoi.offer());
    ASSERT_TRUE(DmaView(*memory).store(GuestPhys(0x4004), uint8_t{0}));
    EXPECT_TRUE(eoi.withdraw());
    EXPECT_EQ(vcpu().silent_ends(), 1u);
    ASSERT_TRUE(vcpu().write_msr(msr::kPvEoi, kSize | 1));
    EXPECT_FALSE(eoi.offer());
    EXPECT_FALSE(eoi.withdraw());
}

TEST_F(ParavirtKvmTest, KicksAndYields) {
    EXPECT_EQ(call(Hypercall::kKickCpu, 0, 1), 0u);
    EXPECT_EQ(call(Hypercall::kKickCpu, 0, 77), 0u);
    EXPECT_EQ(call(Hypercall::kKickCpu, 0, 0x100000001), 0u);  // no such id
    EXPECT_EQ(host.unhalted, (std::vector<uint32_t>{1, 77}));
    EXPECT_EQ(call(Hypercall::kSchedYield, 1), 0u);
    EXPECT_EQ(host.yields, 1u);
    EXPECT_EQ(call(Hypercall::kVapicPollIrq), 0u);
    EXPECT_EQ(vcpu().hypercalls(), 5u);
}

TEST_F(ParavirtKvmTest, InterruptsToMany) {
    EXPECT_EQ(call(Hypercall::kSendIpi, 0b101, 1, 1, 0xfd), 1u) << "reached: id 1";
    EXPECT_EQ(host.interrupts,
              (std::vector<std::pair<uint32_t, uint8_t>>{{1, 0xfd}, {3, 0xfd}, {65, 0xfd}}));
    EXPECT_EQ(call(Hypercall::kSendIpi, 3, 0, 0, 0x400), 2u);
    EXPECT_EQ(host.nmis, (std::vector<uint32_t>{0, 1}));
    EXPECT_EQ(call(Hypercall::kSendIpi, 0, 0, 0, 0xfd), 0u);
}

TEST_F(ParavirtKvmTest, InterruptsThatCannotBeSent) {
    const auto einval = static_cast<uint64_t>(kvm_guest::kEinval);
    EXPECT_EQ(call(Hypercall::kSendIpi, 1, 0, 0, 0x400fd), einval);  // a shorthand
    EXPECT_EQ(call(Hypercall::kSendIpi, 1, 0, 0, 0x500), einval);    // INIT
    EXPECT_TRUE(host.interrupts.empty());
    // The first id counts with 32 bits; what would be beyond them is nobody's.
    EXPECT_EQ(call(Hypercall::kSendIpi, 7, ~0ull, 0x1'fffffffe, 0xfd), 0u);
    EXPECT_EQ(host.interrupts,
              (std::vector<std::pair<uint32_t, uint8_t>>{{0xfffffffe, 0xfd}, {0xffffffff, 0xfd}}));
}

TEST_F(ParavirtKvmTest, OutsideLongModeRegistersHave32Bits) {
    leave_long_mode();
    EXPECT_EQ(call(0xffffffff'0000000a, 0xffffffff'00000001, 2, 0x1'00000000, 0xfd), 1u);
    EXPECT_EQ(host.interrupts, (std::vector<std::pair<uint32_t, uint8_t>>{{0, 0xfd}, {33, 0xfd}}));
    EXPECT_EQ(call(99), 0xfffffc18u);  // -1000
}

TEST_F(ParavirtKvmTest, UnknownCallsAndCallersAreRefused) {
    EXPECT_EQ(call(0), static_cast<uint64_t>(kvm_guest::kEnosys));
    EXPECT_EQ(call(2), static_cast<uint64_t>(kvm_guest::kEnosys));   // the MMU's of old
    EXPECT_EQ(call(12), static_cast<uint64_t>(kvm_guest::kEnosys));  // KVM_HC_MAP_GPA_RANGE
    EXPECT_EQ(call(~0ull), static_cast<uint64_t>(kvm_guest::kEnosys));
    state.segment(x86::Segment::kSs).attributes = 3u << x86::segment_attribute::kDplShift;
    EXPECT_EQ(call(Hypercall::kSchedYield), static_cast<uint64_t>(kvm_guest::kEperm));
    EXPECT_EQ(call(99), static_cast<uint64_t>(kvm_guest::kEperm));
    EXPECT_EQ(host.yields, 0u);
}

TEST_F(ParavirtKvmTest, PairsOfClocks) {
    host.wall = 1'700'000'000'000'000'123;
    host.tsc = 5000;
    vcpu().tsc_moved(100);
    EXPECT_EQ(call(Hypercall::kClockPairing, 0x6000, 0), 0u);
    const auto pairing = load<kvm_guest::ClockPairing>(0x6000);
    EXPECT_EQ(pairing.sec, 1'700'000'000);
    EXPECT_EQ(pairing.nsec, 123);
    EXPECT_EQ(pairing.tsc, 5100u);
    EXPECT_EQ(call(Hypercall::kClockPairing, 0x6000, 1),
              static_cast<uint64_t>(kvm_guest::kEopnotsupp));
    EXPECT_EQ(call(Hypercall::kClockPairing, kSize - 63, 0),
              static_cast<uint64_t>(kvm_guest::kEfault));
}

TEST_F(ParavirtKvmTest, ResetForgetsAll) {
    ASSERT_TRUE(vcpu().write_msr(msr::kStealTime, 0x1001));
    ASSERT_TRUE(vcpu().write_msr(msr::kPvEoi, 0x2001));
    ASSERT_TRUE(vcpu().write_msr(msr::kWallClock, 0x3000));
    kvm->reset(0);
    EXPECT_EQ(vcpu().read_msr(msr::kStealTime), 0u);
    EXPECT_EQ(vcpu().read_msr(msr::kWallClock), 0u);
    EXPECT_FALSE(vcpu().silent_eoi().offer());
}

}  // namespace
}  // namespace mynah
