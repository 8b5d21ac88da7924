#include "firmware/entry_point.h"

#include <gtest/gtest.h>

#include "firmware/low_memory.h"
#include "firmware/sample_kernel_test.h"

namespace mynah {
namespace {

constexpr GuestPhys kEntry{0x1000200}, kArgument{0x7000};

CpuState entered(EntryPoint::Kind kind) {
    CpuState state = reset_state();
    apply_entry({kind, kEntry, kArgument}, state);
    return state;
}

// [linux-boot "64-bit Boot Protocol"]
TEST(EntryPoint, Linux64IsLongModeWithPaging) {
    const CpuState state = entered(EntryPoint::Kind::kLinux64);
    EXPECT_TRUE(state.code64());
    EXPECT_TRUE(state.paging());
    EXPECT_EQ(state.cr3, low_memory::kPageTables);
    EXPECT_EQ(state.rip, kEntry.value);
    EXPECT_EQ(state.gpr[kRsi], kArgument.value);
    EXPECT_FALSE(state.flags.has(x86::rflags::kIf));
    EXPECT_EQ(state.cs().selector, 0x10);
    for (const auto segment : {x86::Segment::kDs, x86::Segment::kEs, x86::Segment::kSs}) {
        EXPECT_EQ(state.segment(segment).selector, 0x18);
    }
    EXPECT_EQ(state.cpl(), 0u);
}

// [linux-boot "32-bit Boot Protocol"]
TEST(EntryPoint, Linux32IsFlatProtectedMode) {
    const CpuState state = entered(EntryPoint::Kind::kLinux32);
    EXPECT_TRUE(state.protected_mode());
    EXPECT_FALSE(state.paging());
    EXPECT_FALSE(state.long_mode());
    EXPECT_TRUE(state.cs().default_big());
    EXPECT_EQ(state.cs().limit, 0xffffffffu);
    EXPECT_EQ(state.gpr[kRsi], kArgument.value);
    EXPECT_EQ(state.gpr[kRbp], 0u);
    EXPECT_EQ(state.gpr[kRdi], 0u);
    EXPECT_EQ(state.gpr[kRbx], 0u);
}

// [PVH]
TEST(EntryPoint, PvhHasStartInfoInEbx) {
    const CpuState state = entered(EntryPoint::Kind::kPvh);
    EXPECT_EQ(state.gpr[kRbx], kArgument.value);
    EXPECT_EQ(state.cr0 & ~uint64_t{x86::cr0::kEt}, x86::cr0::kPe);
    EXPECT_EQ(state.cr4, 0u);
    EXPECT_EQ(state.tr.limit, 0x67u);
    EXPECT_EQ(state.flags.value(), 2u);
}

TEST(EntryPoint, DescriptorsMatchTheLoadedSegments) {
    const auto memory = sample::memory();
    ASSERT_TRUE(write_entry_tables(*memory, EntryPoint::Kind::kLinux64));
    EXPECT_EQ(*memory->load<uint64_t>(GuestPhys(low_memory::kGdt + 0x10)), 0x00af9b000000ffffu);
    EXPECT_EQ(*memory->load<uint64_t>(GuestPhys(low_memory::kGdt + 0x18)), 0x00cf93000000ffffu);
}

}  // namespace
}  // namespace mynah
