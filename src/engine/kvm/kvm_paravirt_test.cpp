// A guest on KVM that finds KVM's paravirtual interface, on a kernel that a script plays.

#include <cstring>
#include <map>

#include "engine/kvm/kvm_fixture_test.h"
#include "spec/kvm/paravirt.h"

namespace mynah {
namespace {

namespace feature = kvm_guest::feature;
namespace msr = kvm_guest::msr;

constexpr uint32_t kClock =
    feature::kClockOld | feature::kNoIoDelay | feature::kClock | feature::kClockStable;
constexpr uint32_t kBySharing = feature::kStealTime | feature::kPvTlbFlush;
constexpr uint32_t kByHypercalls =
    feature::kPvUnhalt | feature::kPvSendIpi | feature::kPvSchedYield;

class KvmParavirtTest : public KvmTest {
  protected:
    KvmParavirtTest() {
        options_.kernel_apics = true;
        find_kvm();
        kernel_.on(kvm::kGetSupportedCpuid, [this](int, uintptr_t argument) {
            auto* const header = reinterpret_cast<kvm::CpuidHeader*>(argument);
            auto* const entries = reinterpret_cast<kvm_cpuid_entry2*>(header + 1);
            header->entries = 2;
            const CpuidLeaf maker = cpuid_.query(0, 0, {});
            entries[0] = {};
            entries[0].ebx = maker.ebx + maker_differs_;
            entries[0].ecx = maker.ecx;
            entries[0].edx = maker.edx;
            entries[1] = {};
            entries[1].function = kvm_guest::kFeaturesLeaf;
            entries[1].eax = kernel_has_;
            return 0;
        });
        kernel_.on(kvm::kSetCpuid2, [this](int, uintptr_t argument) {
            const auto* const header = reinterpret_cast<const kvm::CpuidHeader*>(argument);
            const auto* const entries = reinterpret_cast<const kvm_cpuid_entry2*>(header + 1);
            for (uint32_t i = 0; i < header->entries; ++i) {
                if (entries[i].function == kvm_guest::kFeaturesLeaf) told_ = entries[i].eax;
            }
            return 0;
        });
        kernel_.on(KVM_X86_SET_MSR_FILTER, [this](int, uintptr_t argument) {
            const auto& filter = *reinterpret_cast<const kvm_msr_filter*>(argument);
            kept_.clear();
            for (const auto& range : filter.ranges) {
                for (uint32_t i = 0; i < range.nmsrs; ++i) kept_.push_back(range.base + i);
            }
            return 0;
        });
        kernel_.on(KVM_ENABLE_CAP, [this](int, uintptr_t argument) {
            const auto& cap = *reinterpret_cast<const kvm_enable_cap*>(argument);
            if (cap.cap == KVM_CAP_ENFORCE_PV_FEATURE_CPUID && cap.args[0] == 1) ++enforced_;
            return 0;
        });
        kernel_.on(kvm::kSetMsrs, [this](int, uintptr_t argument) {
            const auto& block = *reinterpret_cast<const kvm::OneMsr*>(argument);
            registers_[block.entry.index] = block.entry.data;
            return 1;
        });
        kernel_.on(kvm::kGetMsrs, [this](int, uintptr_t argument) {
            auto& block = *reinterpret_cast<kvm::OneMsr*>(argument);
            block.entry.data = registers_[block.entry.index];
            return 1;
        });
    }
    void find_kvm() {
        cpuid_.present_hypervisor(kvm_guest::kSignature,
                                  {{kvm_guest::kFeaturesLeaf, CpuidLeaf{.eax = announced_}}});
    }
    bool kept(uint32_t index) const { return std::ranges::count(kept_, index) != 0; }
    uint32_t possible() { return make(), engine_->paravirt_features(); }

    uint32_t announced_ = kClock | kBySharing | feature::kPvEoi | kByHypercalls;
    uint32_t kernel_has_ = ~0u, told_ = 0, maker_differs_ = 0;
    unsigned enforced_ = 0;
    std::vector<uint32_t> kept_;
    std::map<uint32_t, uint64_t> registers_;
};

TEST_F(KvmParavirtTest, WhatIsAnnouncedIsThereAndNothingElse) {
    EXPECT_EQ(possible(), announced_);
    EXPECT_EQ(told_, announced_);
    EXPECT_EQ(enforced_, 1u);
    announced_ = kClock;
    find_kvm();
    EXPECT_EQ(possible() & ~announced_, kBySharing | feature::kPvEoi | kByHypercalls);
    EXPECT_EQ(told_, kClock);
}

TEST_F(KvmParavirtTest, WhatTheKernelLacksIsNotAnnounced) {
    kernel_has_ = kClock | feature::kPvEoi;
    EXPECT_EQ(possible(), kClock | feature::kPvEoi);
    EXPECT_EQ(told_, kClock | feature::kPvEoi);
    kernel_has_ = 0;
    EXPECT_EQ(possible(), kClock) << "that is the machine's";
}

TEST_F(KvmParavirtTest, ClocksNeedAnExactTsc) {
    kernel_.on(KVM_HAS_DEVICE_ATTR, -ENXIO);
    EXPECT_EQ(possible() & kClock, 0u);
    EXPECT_EQ(told_ & kClock, 0u);
}

TEST_F(KvmParavirtTest, InterruptsNeedTheKernelsApics) {
    options_.kernel_apics = false;
    EXPECT_EQ(possible(), kClock | kBySharing);
    EXPECT_EQ(told_, kClock | kBySharing);
}

// Linux on a processor that says it is Intel's makes hypercalls by VMCALL, which AMD's do not know.
TEST_F(KvmParavirtTest, HypercallsNeedAProcessorOfTheSameMaker) {
    maker_differs_ = 1;
    EXPECT_EQ(possible(), kClock | kBySharing | feature::kPvEoi);
    EXPECT_EQ(told_, possible());
}

TEST_F(KvmParavirtTest, ClocksAreTheMachinesAndTheRestTheKernels) {
    make();
    for (const uint32_t index : {msr::kStealTime, msr::kPvEoi}) EXPECT_TRUE(kept(index)) << index;
    for (const uint32_t index : {msr::kWallClock, msr::kSystemTime, msr::kWallClockOld,
                                 msr::kSystemTimeOld, msr::kAsyncPageFault, msr::kPollControl})
        EXPECT_FALSE(kept(index)) << index;
}

TEST_F(KvmParavirtTest, AGuestThatFindsNoKvmHasNoneOfIt) {
    cpuid_ = CpuidPolicy::create("max", {}, 2'000'000'000).take_value();
    ports_.paravirt = {.steal_time = 0x1001, .pv_eoi = 0x2001};
    make();
    vcpu_->apic_changed();
    EXPECT_FALSE(kept(msr::kStealTime));
    EXPECT_FALSE(kept(msr::kPvEoi));
    EXPECT_FALSE(registers_.contains(msr::kStealTime));
    EXPECT_FALSE(registers_.contains(msr::kPvEoi));
    vcpu_->leave();
    EXPECT_EQ(ports_.paravirt.steal_time, 0u);
}

TEST_F(KvmParavirtTest, WhatTheGuestSetUpComesAlongAndGoesAlong) {
    ports_.paravirt = {.steal_time = 0x1001, .pv_eoi = 0x2001};
    make();
    vcpu_->apic_changed();
    EXPECT_EQ(registers_[msr::kStealTime], 0x1001u);
    EXPECT_EQ(registers_[msr::kPvEoi], 0x2001u);
    registers_[msr::kStealTime] = 0x3001;
    registers_[msr::kPvEoi] = 0;
    vcpu_->leave();
    EXPECT_EQ(ports_.paravirt.steal_time, 0x3001u);
    EXPECT_EQ(ports_.paravirt.pv_eoi, 0u);
    // A reset.
    ports_.paravirt = {};
    vcpu_->apic_changed();
    EXPECT_EQ(registers_[msr::kStealTime], 0u);
}

TEST_F(KvmParavirtTest, AskedForNothingThatIsNotThere) {
    kernel_has_ = feature::kPvEoi;
    ports_.paravirt = {.steal_time = 0x1001, .pv_eoi = 0x2001};
    make();
    vcpu_->apic_changed();
    EXPECT_FALSE(registers_.contains(msr::kStealTime));
    EXPECT_EQ(registers_[msr::kPvEoi], 0x2001u);
}

}  // namespace
}  // namespace mynah
