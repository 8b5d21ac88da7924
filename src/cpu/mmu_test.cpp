#include "cpu/mmu.h"

#include <gtest/gtest.h>

#include "base/bits.h"
#include "spec/x86/paging.h"

namespace mynah {
namespace {

namespace entry = x86::page_entry;
namespace pf = x86::page_fault;

constexpr uint64_t kRw = entry::kPresent | entry::kWritable;
constexpr uint64_t kRwUser = kRw | entry::kUser;
constexpr uint64_t kUsedDirty = entry::kAccessed | entry::kDirty;

// Paging structures at fixed places of 16 MiB of RAM.
constexpr uint64_t kPml4 = 0x1000, kPdpt = 0x2000, kPd = 0x3000, kPt = 0x4000;

class MmuTest : public ::testing::Test {
  protected:
    MmuTest() {
        const GuestMemory::Range range{GuestPhys(0), 16 << 20};
        memory_ = GuestMemory::create({&range, 1}).take_value();
        state_.cr0 = x86::cr0::kPe | x86::cr0::kPg | x86::cr0::kWp;
        state_.flags.set(x86::rflags::kOne);
    }

    void long_mode() {
        state_.cr3 = kPml4;
        state_.cr4 = x86::cr4::kPae;
        state_.efer = x86::efer::kLme | x86::efer::kLma | x86::efer::kNxe;
        put64(kPml4, 0, kPdpt | kRwUser);
        put64(kPdpt, 0, kPd | kRwUser);
        put64(kPd, 0, kPt | kRwUser);
    }
    void pae() {
        state_.cr3 = kPdpt;
        state_.cr4 = x86::cr4::kPae;
        state_.efer = x86::efer::kNxe;
        put64(kPdpt, 0, kPd | entry::kPresent);
        put64(kPd, 0, kPt | kRwUser);
        ASSERT_TRUE(mmu().load_pdptes(state_, state_.cr3));
    }
    void legacy() {
        state_.cr3 = kPd;
        state_.cr4 = 0;
        state_.efer = 0;
        put32(kPd, 0, kPt | kRwUser);
    }

    void put64(uint64_t table, unsigned index, uint64_t value) {
        ASSERT_TRUE(memory_->store<uint64_t>(GuestPhys(table + index * 8), value));
    }
    void put32(uint64_t table, unsigned index, uint64_t value) {
        ASSERT_TRUE(
            memory_->store<uint32_t>(GuestPhys(table + index * 4), static_cast<uint32_t>(value)));
    }
    uint64_t get64(uint64_t table, unsigned index) {
        return *memory_->load<uint64_t>(GuestPhys(table + index * 8));
    }
    uint32_t get32(uint64_t table, unsigned index) {
        return *memory_->load<uint32_t>(GuestPhys(table + index * 4));
    }

    Mmu mmu(bool gigabyte_pages = true) { return Mmu(*memory_, 46, gigabyte_pages); }

    // The translation, which must succeed.
    Translation ok(uint64_t linear, AccessKind kind = AccessKind::kRead,
                   AccessMode mode = AccessMode::kSupervisor) {
        Mmu unit = mmu();
        auto result = unit.translate(state_, linear, kind, mode);
        EXPECT_TRUE(std::holds_alternative<Translation>(result));
        return std::holds_alternative<Translation>(result) ? std::get<Translation>(result)
                                                           : Translation{};
    }
    // The error code of the page fault, which must come.
    uint32_t faults(uint64_t linear, AccessKind kind = AccessKind::kRead,
                    AccessMode mode = AccessMode::kSupervisor, bool gigabyte_pages = true) {
        Mmu unit = mmu(gigabyte_pages);
        auto result = unit.translate(state_, linear, kind, mode);
        const Exception* fault = std::get_if<Exception>(&result);
        EXPECT_NE(fault, nullptr);
        if (fault == nullptr) return ~0u;
        EXPECT_EQ(fault->vector, x86::Vector::kPf);
        EXPECT_EQ(fault->address, linear);
        EXPECT_TRUE(fault->has_error_code);
        return fault->error_code;
    }

    std::unique_ptr<GuestMemory> memory_;
    CpuState state_;
};

constexpr AccessKind kRead = AccessKind::kRead, kWrite = AccessKind::kWrite,
                     kFetch = AccessKind::kExecute;
constexpr AccessMode kUser = AccessMode::kUser, kSupervisor = AccessMode::kSupervisor,
                     kImplicit = AccessMode::kImplicit;

TEST_F(MmuTest, WithoutPagingLinearIsPhysicalAndEverythingIsAllowed) {
    state_.cr0 = 0;
    const Translation t = ok(0x123456, kWrite, kUser);
    EXPECT_EQ(t.page.value, 0x123000u);
    EXPECT_TRUE(t.readable && t.writable && t.executable);
    EXPECT_EQ(t.page_shift, 12);
}

TEST_F(MmuTest, FourLevelsFindTheFrameAndSetAccessedEverywhere) {
    long_mode();
    put64(kPt, 5, 0x77000 | kRwUser);
    const Translation t = ok(0x5123);
    EXPECT_EQ(t.page.value, 0x77000u);
    EXPECT_FALSE(t.writable) << "a store must still come by to set the dirty bit";
    EXPECT_EQ(get64(kPml4, 0), kPdpt | kRwUser | entry::kAccessed);
    EXPECT_EQ(get64(kPdpt, 0), kPd | kRwUser | entry::kAccessed);
    EXPECT_EQ(get64(kPd, 0), kPt | kRwUser | entry::kAccessed);
    EXPECT_EQ(get64(kPt, 5), 0x77000 | kRwUser | entry::kAccessed);
}

TEST_F(MmuTest, AStoreSetsDirtyInTheLeafOnly) {
    long_mode();
    put64(kPt, 5, 0x77000 | kRwUser);
    EXPECT_TRUE(ok(0x5000, kWrite).writable);
    EXPECT_EQ(get64(kPt, 5), 0x77000 | kRwUser | kUsedDirty);
    EXPECT_EQ(get64(kPd, 0), kPt | kRwUser | entry::kAccessed);
    EXPECT_TRUE(ok(0x5000, kRead).writable) << "dirty already";
}

TEST_F(MmuTest, AFaultLeavesDirtyAlone) {
    long_mode();
    put64(kPt, 5, 0x77000 | entry::kPresent | entry::kUser);
    EXPECT_EQ(faults(0x5000, kWrite), pf::kPresent | pf::kWrite);
    EXPECT_EQ(get64(kPt, 5) & entry::kDirty, 0u);
}

TEST_F(MmuTest, ErrorCodesOfAbsentPagesNameTheAccess) {
    long_mode();
    EXPECT_EQ(faults(0x5000, kRead), 0u);
    EXPECT_EQ(faults(0x5000, kWrite), pf::kWrite);
    EXPECT_EQ(faults(0x5000, kWrite, kUser), pf::kWrite | pf::kUser);
    EXPECT_EQ(faults(0x5000, kFetch, kUser), pf::kFetch | pf::kUser);
    EXPECT_EQ(faults(0x5000, kWrite, kImplicit), pf::kWrite)
        << "implicit accesses are supervisor's";
    EXPECT_EQ(faults(uint64_t{1} << 39), 0u);
    EXPECT_EQ(faults(uint64_t{1} << 30), 0u);
}

TEST_F(MmuTest, FetchIsToldOnlyWithNxOrSmep) {
    legacy();
    EXPECT_EQ(faults(0x5000, kFetch), 0u);
    state_.cr4 |= x86::cr4::kSmep;
    EXPECT_EQ(faults(0x5000, kFetch), pf::kFetch);
    long_mode();
    state_.efer &= ~x86::efer::kNxe;
    EXPECT_EQ(faults(0x5000, kFetch), 0u);
}

TEST_F(MmuTest, UserNeedsTheUserBitAtEveryLevel) {
    long_mode();
    put64(kPt, 1, 0x70000 | kRwUser);
    ok(0x1000, kRead, kUser);
    put64(kPdpt, 0, kPd | kRw);
    EXPECT_EQ(faults(0x1000, kRead, kUser), pf::kPresent | pf::kUser);
    EXPECT_FALSE(ok(0x1000).user);
}

TEST_F(MmuTest, WriteNeedsTheWriteBitAtEveryLevelUnlessSupervisorWithoutWp) {
    long_mode();
    put64(kPt, 1, 0x70000 | kRwUser);
    put64(kPd, 0, kPt | entry::kPresent | entry::kUser);
    EXPECT_EQ(faults(0x1000, kWrite), pf::kPresent | pf::kWrite);
    state_.cr0 &= ~x86::cr0::kWp;
    EXPECT_TRUE(ok(0x1000, kWrite).writable);
    EXPECT_EQ(faults(0x1000, kWrite, kUser), pf::kPresent | pf::kWrite | pf::kUser);
}

TEST_F(MmuTest, NoExecuteAtAnyLevelBarsFetches) {
    long_mode();
    put64(kPt, 1, 0x70000 | kRwUser);
    put64(kPd, 0, kPt | kRwUser | entry::kNoExecute);
    EXPECT_EQ(faults(0x1000, kFetch), pf::kPresent | pf::kFetch);
    EXPECT_EQ(faults(0x1000, kFetch, kUser), pf::kPresent | pf::kFetch | pf::kUser);
    EXPECT_FALSE(ok(0x1000).executable);
}

TEST_F(MmuTest, WithoutNxeTheNoExecuteBitIsReserved) {
    long_mode();
    state_.efer &= ~x86::efer::kNxe;
    put64(kPt, 1, 0x70000 | kRwUser | entry::kNoExecute);
    EXPECT_EQ(faults(0x1000), pf::kPresent | pf::kReserved);
}

TEST_F(MmuTest, BitsAboveThePhysicalAddressAreReserved) {
    long_mode();
    put64(kPt, 1, 0x70000 | kRwUser | bit(46));
    EXPECT_EQ(faults(0x1000, kWrite, kUser), pf::kPresent | pf::kReserved | pf::kWrite | pf::kUser);
    put64(kPt, 1, 0x70000 | kRwUser | bit(52) | bit(62));
    ok(0x1000);  // ignored by 4-level paging
    put64(kPml4, 0, kPdpt | kRwUser | entry::kLarge);
    EXPECT_EQ(faults(0x1000), pf::kPresent | pf::kReserved);
}

TEST_F(MmuTest, LargePagesOfFourLevels) {
    long_mode();
    put64(kPd, 1, 0x40000000 | kRwUser | entry::kLarge | entry::kGlobal);
    Translation t = ok(0x2ab123);
    EXPECT_EQ(t.page.value, 0x400ab000u);
    EXPECT_EQ(t.page_shift, 21);
    EXPECT_FALSE(t.global);
    state_.cr4 |= x86::cr4::kPge;
    EXPECT_TRUE(ok(0x2ab123).global);
    put64(kPd, 1, 0x40000000 | kRwUser | entry::kLarge | bit(12));  // PAT
    ok(0x2ab123);
    put64(kPd, 1, 0x40000000 | kRwUser | entry::kLarge | bit(13));
    EXPECT_EQ(faults(0x2ab123), pf::kPresent | pf::kReserved);

    put64(kPdpt, 1, 0x180000000 | kRwUser | entry::kLarge);
    t = ok(0x4abcd123, kWrite);
    EXPECT_EQ(t.page.value, 0x18abcd000u);
    EXPECT_EQ(t.page_shift, 30);
    EXPECT_EQ(get64(kPdpt, 1), 0x180000000 | kRwUser | entry::kLarge | kUsedDirty);
    EXPECT_EQ(faults(0x4abcd123, kRead, kSupervisor, false), pf::kPresent | pf::kReserved);
}

TEST_F(MmuTest, SmepBarsSupervisorFetchesFromUserPages) {
    long_mode();
    put64(kPt, 1, 0x70000 | kRwUser);
    put64(kPt, 2, 0x70000 | kRw);
    ok(0x1000, kFetch);
    state_.cr4 |= x86::cr4::kSmep;
    EXPECT_EQ(faults(0x1000, kFetch), pf::kPresent | pf::kFetch);
    ok(0x1000, kFetch, kUser);
    ok(0x2000, kFetch);
}

TEST_F(MmuTest, SmapBarsSupervisorDataExceptExplicitWithAc) {
    long_mode();
    put64(kPt, 1, 0x70000 | kRwUser);
    state_.cr4 |= x86::cr4::kSmap;
    EXPECT_EQ(faults(0x1000, kRead), pf::kPresent);
    EXPECT_EQ(faults(0x1000, kWrite), pf::kPresent | pf::kWrite);
    ok(0x1000, kRead, kUser);
    const Translation fetched = ok(0x1000, kFetch);
    EXPECT_FALSE(fetched.readable || fetched.writable);
    state_.flags.set(x86::rflags::kAc);
    ok(0x1000, kWrite);
    EXPECT_EQ(faults(0x1000, kRead, kImplicit), pf::kPresent);
}

TEST_F(MmuTest, PaeUsesTheLoadedPointers) {
    pae();
    put64(kPt, 3, 0x71000 | kRwUser);
    EXPECT_EQ(ok(0x3abc, kWrite).page.value, 0x71000u);
    EXPECT_EQ(get64(kPt, 3), 0x71000 | kRwUser | kUsedDirty);
    EXPECT_EQ(get64(kPdpt, 0), kPd | entry::kPresent) << "no accessed bit in a PDPTE";
    put64(kPdpt, 0, 0);
    ok(0x3abc);  // the registers keep what was loaded
    EXPECT_EQ(faults(0x40000000), 0u);
    put64(kPt, 3, 0x71000 | kRwUser | bit(52));
    EXPECT_EQ(faults(0x3000), pf::kPresent | pf::kReserved);
    put64(kPd, 1, 0x600000 | kRwUser | entry::kLarge);
    EXPECT_EQ(ok(0x3ff000).page.value, 0x7ff000u);
}

TEST_F(MmuTest, LoadingPdptesChecksReservedBitsOfPresentOnes) {
    pae();
    const auto before = state_.pdpte;
    put64(kPdpt, 2, 0x9000 | entry::kWritable | entry::kPresent);
    EXPECT_FALSE(mmu().load_pdptes(state_, kPdpt));
    EXPECT_EQ(state_.pdpte, before);
    put64(kPdpt, 2, entry::kWritable);  // not present: anything goes
    EXPECT_TRUE(mmu().load_pdptes(state_, kPdpt));
    put64(kPdpt, 3, bit(46) | entry::kPresent);
    EXPECT_FALSE(mmu().load_pdptes(state_, kPdpt));
    EXPECT_FALSE(mmu().load_pdptes(state_, 0xf0000000)) << "outside RAM reads as ones";
}

TEST_F(MmuTest, ThirtyTwoBitPages) {
    legacy();
    put32(kPt, 7, 0x72000 | kRwUser);
    EXPECT_EQ(ok(0x7fff, kWrite).page.value, 0x72000u);
    EXPECT_EQ(get32(kPt, 7), 0x72000 | kRwUser | kUsedDirty);
    EXPECT_EQ(get32(kPd, 0), kPt | kRwUser | entry::kAccessed);
    EXPECT_EQ(faults(0x8000, kWrite, kUser), pf::kWrite | pf::kUser);
    EXPECT_EQ(faults(0x400000), 0u);
}

TEST_F(MmuTest, FourMegabytePagesWithPseAndHighBits) {
    legacy();
    put32(kPd, 1, 0x00800000 | kRwUser | entry::kLarge);
    EXPECT_EQ(faults(0x400000), 0u) << "without CR4.PSE the bit is ignored: a table of zeros";
    state_.cr4 |= x86::cr4::kPse;
    Translation t = ok(0x7abcde);
    EXPECT_EQ(t.page.value, 0xbab000u);
    EXPECT_EQ(t.page_shift, 22);
    put32(kPd, 1, 0x00800000 | kRwUser | entry::kLarge | (0x81u << 13));
    EXPECT_EQ(ok(0x400000).page.value, 0x8100800000u);
    put32(kPd, 1, 0x00800000 | kRwUser | entry::kLarge | bit(21));
    EXPECT_EQ(faults(0x400000), pf::kPresent | pf::kReserved);
}

TEST_F(MmuTest, TablesOutsideRamReadAsOnes) {
    long_mode();
    put64(kPd, 0, 0x80000000 | kRwUser);
    EXPECT_EQ(faults(0x1000), pf::kPresent | pf::kReserved);
}

}  // namespace
}  // namespace mynah
