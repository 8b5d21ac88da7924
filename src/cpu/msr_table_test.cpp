#include "cpu/msr_table.h"

#include <gtest/gtest.h>

#include <map>

#include "base/bits.h"
#include "spec/x86/msr.h"
#include "testing/no_ports.h"

namespace mynah {
namespace {

namespace msr = x86::msr;

// Knows one MSR of its own and remembers what it was asked.
class RecordingPorts final : public NoPorts {
  public:
    std::optional<uint64_t> read_msr(uint32_t index) override {
        const auto found = known.find(index);
        return found == known.end() ? std::nullopt : std::optional(found->second);
    }
    bool write_msr(uint32_t index, uint64_t value) override {
        if (!known.contains(index)) return false;
        known[index] = value;
        return true;
    }
    std::map<uint32_t, uint64_t> known{{msr::kApicBase, 0xfee00900}, {0x40000000, 1}};
};

class MsrTest : public ::testing::Test {
  protected:
    CpuState state_ = reset_state();
    CpuidPolicy policy_ = CpuidPolicy::create("max", {}, 2'000'000'000).take_value();
    RecordingPorts ports_;
    uint64_t tsc_ = 1000;

    std::optional<uint64_t> get(uint32_t index) {
        return read_msr({state_, policy_, ports_, tsc_}, index);
    }
    bool set(uint32_t index, uint64_t value) {
        return write_msr({state_, policy_, ports_, tsc_}, index, value);
    }
};

TEST_F(MsrTest, UnknownOnesAreRefusedUnlessTheMachineKnowsThem) {
    EXPECT_FALSE(get(0x12345));
    EXPECT_FALSE(set(0x12345, 0));
    EXPECT_EQ(get(0x40000000), 1u);
    EXPECT_TRUE(set(0x40000000, 5));
    EXPECT_EQ(get(msr::kApicBase), 0xfee00900u);
    EXPECT_FALSE(get(msr::kMtrrPhysBase0 + 16));
}

TEST_F(MsrTest, EferKeepsLmaAndGuardsLme) {
    EXPECT_TRUE(
        set(msr::kEfer, x86::efer::kSce | x86::efer::kLme | x86::efer::kNxe | x86::efer::kLma));
    EXPECT_EQ(get(msr::kEfer), x86::efer::kSce | x86::efer::kLme | x86::efer::kNxe)
        << "LMA is not written";
    EXPECT_FALSE(set(msr::kEfer, bit(1)));
    state_.cr0 |= x86::cr0::kPg | x86::cr0::kPe;
    state_.efer |= x86::efer::kLma;
    EXPECT_FALSE(set(msr::kEfer, x86::efer::kSce)) << "LME cleared under paging";
    EXPECT_TRUE(set(msr::kEfer, x86::efer::kLme));
    EXPECT_EQ(get(msr::kEfer), x86::efer::kLme | x86::efer::kLma);
}

TEST_F(MsrTest, AddressesMustBeCanonical) {
    for (uint32_t index : {msr::kLstar, msr::kCstar, msr::kFsBase, msr::kGsBase, msr::kKernelGsBase,
                           msr::kSysenterEsp, msr::kSysenterEip}) {
        EXPECT_TRUE(set(index, 0xffff800000000000)) << std::hex << index;
        EXPECT_EQ(get(index), 0xffff800000000000) << std::hex << index;
        EXPECT_FALSE(set(index, 0x0000800000000000)) << std::hex << index;
        EXPECT_EQ(get(index), 0xffff800000000000) << std::hex << index;
    }
    EXPECT_EQ(state_.segment(x86::Segment::kGs).base, 0xffff800000000000);
}

TEST_F(MsrTest, TheTimeStampAndItsAdjustmentMoveTogether) {
    EXPECT_EQ(get(msr::kTsc), 1000u);
    EXPECT_TRUE(set(msr::kTsc, 5000));
    EXPECT_EQ(state_.tsc_offset, 4000u);
    EXPECT_EQ(get(msr::kTscAdjust), 4000u);
    EXPECT_TRUE(set(msr::kTscAdjust, 1000));
    EXPECT_EQ(state_.tsc_offset, 1000u);
    EXPECT_FALSE(set(msr::kTscAux, bit(32)));
    EXPECT_TRUE(set(msr::kTscAux, 0xffffffff));
}

TEST_F(MsrTest, MemoryTypesAreChecked) {
    EXPECT_EQ(get(msr::kPat), 0x0007040600070406u);
    EXPECT_TRUE(set(msr::kPat, 0x0007010600070106));
    EXPECT_FALSE(set(msr::kPat, 0x0002010600070106)) << "type 2 is reserved";
    EXPECT_FALSE(set(msr::kPat, 0x0807010600070106));
    EXPECT_EQ(get(msr::kMtrrCap), 0x508u);
    EXPECT_FALSE(set(msr::kMtrrCap, 0x508));
    EXPECT_TRUE(set(msr::kMtrrPhysBase0, 0x80000006));
    EXPECT_FALSE(set(msr::kMtrrPhysBase0, 0x80000002));
    EXPECT_FALSE(set(msr::kMtrrPhysBase0, bit(46) | 6));
    EXPECT_TRUE(set(msr::kMtrrPhysBase0 + 1, 0x3fff80000800));
    EXPECT_FALSE(set(msr::kMtrrPhysBase0 + 1, 0x3fff80000801));
    EXPECT_TRUE(set(msr::kMtrrFix4k0 + 7, 0x0606060606060606));
    EXPECT_EQ(state_.mtrr_fixed[10], 0x0606060606060606u);
    EXPECT_FALSE(set(msr::kMtrrFix64k, 0x0306060606060606));
    EXPECT_TRUE(set(msr::kMtrrDefType, 0xc06));
    EXPECT_FALSE(set(msr::kMtrrDefType, 0x1006));
}

TEST_F(MsrTest, ReadOnlyAndWriteOnlyOnes) {
    EXPECT_FALSE(set(msr::kPlatformId, 0));
    EXPECT_FALSE(set(msr::kArchCapabilities, 0));
    EXPECT_FALSE(get(msr::kPredCmd));
    EXPECT_TRUE(set(msr::kPredCmd, 1));
    EXPECT_FALSE(set(msr::kPredCmd, 2));
    EXPECT_EQ(get(msr::kMcgCap), 0u);
    EXPECT_FALSE(get(msr::kMc0Ctl));
    EXPECT_EQ(get(msr::kFeatureControl), 1u);
    EXPECT_TRUE(set(msr::kBiosSignature, 0));
    EXPECT_EQ(get(msr::kBiosSignature), uint64_t{1} << 32);
}

TEST_F(MsrTest, NoMitigationIsNeeded) {
    const uint64_t value = *get(msr::kArchCapabilities);
    EXPECT_NE(value & msr::arch_capabilities::kRdclNo, 0u);
    EXPECT_NE(value & msr::arch_capabilities::kMdsNo, 0u);
    policy_ =
        CpuidPolicy::create("max,-arch-capabilities,-spec-ctrl", {}, 2'000'000'000).take_value();
    EXPECT_FALSE(get(msr::kArchCapabilities));
    EXPECT_FALSE(get(msr::kSpecCtrl));
    EXPECT_FALSE(set(msr::kSpecCtrl, 0));
}

}  // namespace
}  // namespace mynah
