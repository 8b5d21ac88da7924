#include "engine/soft_tlb.h"

#include <gtest/gtest.h>

namespace mynah {
namespace {

constexpr uint64_t kLinear = 0xffff888000123000;

void put(SoftTlb& tlb, SoftTlb::Set set, uint64_t linear, uintptr_t host) {
    SoftTlb::Entry& entry = tlb.slot(set, linear);
    entry.addend = host - linear;
    entry.read_tag = entry.write_tag = entry.execute_tag = SoftTlb::tag(linear, tlb.asid());
}

bool hits(SoftTlb& tlb, SoftTlb::Set set, uint64_t linear) {
    return tlb.slot(set, linear).read_tag == SoftTlb::tag(linear, tlb.asid());
}

TEST(SoftTlb, IsEmptyAtFirst) {
    SoftTlb tlb;
    for (uint64_t page = 0; page < SoftTlb::kSlots; ++page) {
        EXPECT_FALSE(hits(tlb, SoftTlb::kUser, page << 12));
        EXPECT_FALSE(hits(tlb, SoftTlb::kUser, ~uint64_t{0} << 12));
    }
}

TEST(SoftTlb, KeepsPrivilegesApart) {
    SoftTlb tlb;
    put(tlb, SoftTlb::kSupervisor, kLinear, 0x1000);
    EXPECT_TRUE(hits(tlb, SoftTlb::kSupervisor, kLinear));
    EXPECT_FALSE(hits(tlb, SoftTlb::kUser, kLinear));
    EXPECT_FALSE(hits(tlb, SoftTlb::kSupervisorSmapOff, kLinear));
}

TEST(SoftTlb, FlushAllForgetsEverything) {
    SoftTlb tlb;
    put(tlb, SoftTlb::kUser, kLinear, 0x1000);
    tlb.flush_all();
    EXPECT_FALSE(hits(tlb, SoftTlb::kUser, kLinear));
}

TEST(SoftTlb, FlushPageForgetsThePageInEveryAddressSpace) {
    SoftTlb tlb;
    tlb.switch_pcid(1, true);
    put(tlb, SoftTlb::kUser, kLinear, 0x1000);
    put(tlb, SoftTlb::kUser, kLinear + 0x1000, 0x2000);
    tlb.switch_pcid(2, true);
    tlb.flush_page(kLinear);
    tlb.switch_pcid(1, false);
    EXPECT_FALSE(hits(tlb, SoftTlb::kUser, kLinear));
    EXPECT_TRUE(hits(tlb, SoftTlb::kUser, kLinear + 0x1000));
}

TEST(SoftTlb, FlushPageInsideALargePageForgetsAllOfIt) {
    SoftTlb tlb;
    const uint64_t large = 0xffff888000200000;
    put(tlb, SoftTlb::kSupervisor, large + 0x5000, 0x1000);
    put(tlb, SoftTlb::kSupervisor, large + 0x7000, 0x2000);
    tlb.note_large_page(large + 0x5000, 21);
    tlb.note_large_page(large + 0x7000, 21);
    tlb.flush_page(large + 0x5000);
    EXPECT_FALSE(hits(tlb, SoftTlb::kSupervisor, large + 0x5000));
    EXPECT_FALSE(hits(tlb, SoftTlb::kSupervisor, large + 0x7000));
}

TEST(SoftTlb, GigabytePagesToo) {
    SoftTlb tlb;
    const uint64_t huge = 0xffff888040000000;
    put(tlb, SoftTlb::kSupervisor, huge + 0x12345000, 0x1000);
    tlb.note_large_page(huge + 0x12345000, 30);
    tlb.flush_page(huge);
    EXPECT_FALSE(hits(tlb, SoftTlb::kSupervisor, huge + 0x12345000));
}

TEST(SoftTlb, PcidsComeBackUnlessFlushed) {
    SoftTlb tlb;
    tlb.switch_pcid(5, true);
    put(tlb, SoftTlb::kUser, kLinear, 0x1000);
    tlb.switch_pcid(6, true);
    EXPECT_FALSE(hits(tlb, SoftTlb::kUser, kLinear));
    tlb.switch_pcid(5, false);
    EXPECT_TRUE(hits(tlb, SoftTlb::kUser, kLinear));
    tlb.switch_pcid(5, true);
    EXPECT_FALSE(hits(tlb, SoftTlb::kUser, kLinear));
}

TEST(SoftTlb, NothingComesBackWhenAddressSpaceNumbersWrap) {
    SoftTlb tlb;
    put(tlb, SoftTlb::kUser, kLinear, 0x1000);
    for (int i = 0; i < 10000; ++i) {
        tlb.flush_all();
        ASSERT_FALSE(hits(tlb, SoftTlb::kUser, kLinear)) << i;
    }
}

TEST(SoftTlb, ForgetWritesFindsEveryAlias) {
    SoftTlb tlb;
    put(tlb, SoftTlb::kUser, 0x400000, 0x7f0000001000);
    put(tlb, SoftTlb::kSupervisor, kLinear, 0x7f0000001000);
    put(tlb, SoftTlb::kUser, 0x402000, 0x7f0000003000);
    tlb.forget_writes(0x7f0000001000);
    EXPECT_EQ(tlb.slot(SoftTlb::kUser, 0x400000).write_tag, SoftTlb::kNoTag);
    EXPECT_EQ(tlb.slot(SoftTlb::kSupervisor, kLinear).write_tag, SoftTlb::kNoTag);
    EXPECT_NE(tlb.slot(SoftTlb::kUser, 0x402000).write_tag, SoftTlb::kNoTag);
    EXPECT_TRUE(hits(tlb, SoftTlb::kUser, 0x400000));
}

}  // namespace
}  // namespace mynah
