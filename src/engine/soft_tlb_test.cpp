#include "engine/soft_tlb.h"

#include <gtest/gtest.h>

namespace mynah {
namespace {

constexpr uint64_t kLinear = 0xffff888000123000;

void put(SoftTlb& tlb, SoftTlb::Set set, uint64_t linear, uintptr_t host, bool global = false,
         unsigned page_shift = 12) {
    tlb.fill(set, {.linear = linear,
                   .host = host,
                   .readable = true,
                   .writable = true,
                   .executable = true,
                   .global = global,
                   .page_shift = page_shift});
}

bool hits(SoftTlb& tlb, SoftTlb::Set set, uint64_t linear) {
    return (tlb.slot(set, linear).read_tag ^ linear) < 4096;
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
    put(tlb, SoftTlb::kSupervisor, large + 0x5000, 0x1000, false, 21);
    put(tlb, SoftTlb::kSupervisor, large + 0x7000, 0x2000, false, 21);
    tlb.flush_page(large + 0x5000);
    EXPECT_FALSE(hits(tlb, SoftTlb::kSupervisor, large + 0x5000));
    EXPECT_FALSE(hits(tlb, SoftTlb::kSupervisor, large + 0x7000));
}

TEST(SoftTlb, GigabytePagesToo) {
    SoftTlb tlb;
    const uint64_t huge = 0xffff888040000000;
    put(tlb, SoftTlb::kSupervisor, huge + 0x12345000, 0x1000, false, 30);
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

TEST(SoftTlb, OnlyGlobalSupervisorPagesSurviveAChangeOfAddressSpace) {
    SoftTlb tlb;
    put(tlb, SoftTlb::kSupervisor, kLinear, 0x1000, true);
    put(tlb, SoftTlb::kSupervisor, kLinear + 0x1000, 0x2000, false);
    tlb.switch_pcid(3, false);
    EXPECT_TRUE(hits(tlb, SoftTlb::kSupervisor, kLinear));
    EXPECT_FALSE(hits(tlb, SoftTlb::kSupervisor, kLinear + 0x1000));
    tlb.flush_all();
    EXPECT_FALSE(hits(tlb, SoftTlb::kSupervisor, kLinear));
}

TEST(SoftTlb, AnAddressSpaceThatWasReplacedIsForgotten) {
    SoftTlb tlb;
    tlb.switch_pcid(1, true);
    put(tlb, SoftTlb::kUser, kLinear, 0x1000);
    for (uint16_t pcid = 2; pcid < 40; ++pcid) {
        tlb.switch_pcid(pcid, false);
        ASSERT_FALSE(hits(tlb, SoftTlb::kUser, kLinear)) << pcid;
        put(tlb, SoftTlb::kUser, kLinear, 0x1000);
    }
    tlb.switch_pcid(1, false);
    EXPECT_FALSE(hits(tlb, SoftTlb::kUser, kLinear));
}

TEST(SoftTlb, ForgetsMoreThanItCanList) {
    SoftTlb tlb;
    for (uint64_t page = 0; page < 3 * SoftTlb::kSlots; ++page) {
        put(tlb, SoftTlb::kUser, page << 12, page << 12);
    }
    tlb.flush_all();
    for (uint64_t page = 0; page < 3 * SoftTlb::kSlots; ++page) {
        ASSERT_FALSE(hits(tlb, SoftTlb::kUser, page << 12)) << page;
    }
}

TEST(SoftTlb, AnEntryIsThereAfterItWasMade) {
    SoftTlb tlb;
    for (uint64_t i = 0; i < 10 * SoftTlb::kSlots; ++i) {
        put(tlb, SoftTlb::kSupervisor, kLinear, 0x1000, false);
        ASSERT_TRUE(hits(tlb, SoftTlb::kSupervisor, kLinear)) << i;
        tlb.flush_page(kLinear);
    }
}

TEST(SoftTlb, CodeIdsGoWithTheirPage) {
    SoftTlb tlb;
    put(tlb, SoftTlb::kUser, kLinear, 0x1000);
    const unsigned index = SoftTlb::index(kLinear);
    tlb.table(SoftTlb::kUser).code_ids[index] = 7;
    put(tlb, SoftTlb::kUser, kLinear, 0x1000);
    EXPECT_EQ(tlb.table(SoftTlb::kUser).code_ids[index], 7u);
    put(tlb, SoftTlb::kUser, kLinear, 0x2000);
    EXPECT_EQ(tlb.table(SoftTlb::kUser).code_ids[index], 0u);
}

TEST(SoftTlb, ForgetWritesFindsEveryAlias) {
    SoftTlb tlb;
    put(tlb, SoftTlb::kUser, 0x400000, 0x7f0000001000);
    put(tlb, SoftTlb::kSupervisor, kLinear, 0x7f0000001000);
    put(tlb, SoftTlb::kUser, 0x402000, 0x7f0000003000);
    tlb.forget_writes(0x7f0000001000);
    const auto writes = [&](SoftTlb::Set set, uint64_t linear) {
        return (tlb.slot(set, linear).write_tag ^ linear) < 4096;
    };
    EXPECT_FALSE(writes(SoftTlb::kUser, 0x400000));
    EXPECT_FALSE(writes(SoftTlb::kSupervisor, kLinear));
    EXPECT_TRUE(writes(SoftTlb::kUser, 0x402000));
    EXPECT_TRUE(hits(tlb, SoftTlb::kUser, 0x400000));
}

}  // namespace
}  // namespace mynah
