#include "paravirt/virtio/iommu/iommu_domains.h"

#include <gtest/gtest.h>

#include <vector>

#include "memory/dma_view.h"

namespace mynah {
namespace {

using namespace virtio::iommu;

constexpr uint64_t kPage = IommuDomains::kGranule;

class IommuDomainsTest : public ::testing::Test {
  protected:
    IommuDomainsTest() {
        domains_.on_fault([this](const virtio::iommu::Fault& fault) { faults_.push_back(fault); });
    }
    std::optional<uint64_t> look(uint64_t address, DmaUse use = DmaUse::kRead,
                                 uint64_t size = 1) const {
        const auto run = seven_.translate(GuestPhys(address), size, use);
        if (!run) return std::nullopt;
        return run->start.value;
    }

    IommuDomains domains_;
    const DmaTranslation& seven_ = domains_.add_endpoint(7);
    const DmaTranslation& eight_ = domains_.add_endpoint(8);
    std::vector<virtio::iommu::Fault> faults_;
};

TEST_F(IommuDomainsTest, EndpointsInNoDomainGoPastItIfTheyMay) {
    EXPECT_EQ(look(0x1234), 0x1234u);
    domains_.set_bypass(false);
    EXPECT_EQ(look(0x1234), std::nullopt);
    ASSERT_EQ(faults_.size(), 1u);
    EXPECT_EQ(faults_[0].reason, kDomain);
    EXPECT_EQ(faults_[0].endpoint, 7u);
    EXPECT_EQ(faults_[0].address, 0x1234u);
    EXPECT_EQ(faults_[0].flags, kFaultAddress | kFaultRead);
    ASSERT_EQ(domains_.attach(1, 7, true), kOk);
    EXPECT_EQ(look(0x1234), 0x1234u) << "a domain may go past it as well";
    EXPECT_EQ(domains_.map(1, 0, kPage - 1, 0, kMapRead), kInvalid);
    EXPECT_EQ(domains_.unmap(1, 0, kPage - 1), kInvalid);
    EXPECT_EQ(domains_.attach(1, 8, false), kInvalid) << "it is the other kind of domain";
}

TEST_F(IommuDomainsTest, MappingsLeadSomewhereElseAndAllowSomething) {
    ASSERT_EQ(domains_.attach(1, 7, false), kOk);
    EXPECT_EQ(look(0x10000), std::nullopt);
    EXPECT_EQ(faults_.back().reason, kMapping);
    ASSERT_EQ(domains_.map(1, 0x10000, 0x11fff, 0x80000, kMapRead), kOk);
    ASSERT_EQ(domains_.map(1, 0x12000, 0x12fff, 0x40000, kMapRead | kMapWrite), kOk);
    EXPECT_EQ(look(0x10000), 0x80000u);
    EXPECT_EQ(look(0x11fff), 0x81fffu);
    EXPECT_EQ(look(0x12345), 0x40345u);
    EXPECT_EQ(look(0x13000), std::nullopt);
    EXPECT_EQ(look(0xffff), std::nullopt);
    EXPECT_EQ(look(0x10000, DmaUse::kWrite), std::nullopt);
    EXPECT_EQ(faults_.back().flags, kFaultAddress | kFaultWrite);
    EXPECT_EQ(look(0x12000, DmaUse::kWrite), 0x40000u);
    EXPECT_EQ(look(0x10000, DmaUse::kAny), 0x80000u);
    const auto run = seven_.translate(GuestPhys(0x11800), 0x1000, DmaUse::kRead);
    EXPECT_EQ(run->size, 0x800u) << "as far as the mapping goes";
    EXPECT_TRUE(eight_.translate(GuestPhys(0x13000), 1, DmaUse::kRead)) << "in no domain";
}

TEST_F(IommuDomainsTest, WhatIsUnmappedIsOutOfReach) {
    ASSERT_EQ(domains_.attach(1, 7, false), kOk);
    for (uint64_t page = 0; page < 8; ++page)
        ASSERT_EQ(domains_.map(1, page * kPage, page * kPage + kPage - 1, 0, kMapRead), kOk);
    ASSERT_EQ(domains_.map(1, 0x10000, 0x1ffff, 0, kMapRead), kOk);
    EXPECT_EQ(domains_.unmap(1, 0x10000, 0x10fff), kRange) << "a part of a mapping";
    EXPECT_EQ(domains_.unmap(1, 0x4000, 0x10fff), kRange);
    EXPECT_EQ(domains_.unmap(1, 0x1f000, 0x20fff), kRange);
    EXPECT_EQ(domains_.mappings(), 9u) << "nothing went";
    EXPECT_EQ(domains_.unmap(1, kPage, 3 * kPage - 1), kOk);
    EXPECT_EQ(look(0), 0u);
    EXPECT_EQ(look(kPage), std::nullopt);
    EXPECT_EQ(look(2 * kPage), std::nullopt);
    EXPECT_TRUE(look(3 * kPage));
    EXPECT_EQ(domains_.unmap(1, 0x800000, 0x900fff), kOk) << "nothing there is no mistake";
    EXPECT_EQ(domains_.unmap(1, 0, ~uint64_t{0}), kOk);
    EXPECT_EQ(domains_.mappings(), 0u);
}

TEST_F(IommuDomainsTest, RefusesWhatIsWrong) {
    EXPECT_EQ(domains_.attach(1, 9, false), kNoEntry);
    EXPECT_EQ(domains_.detach(1, 7), kNoEntry);
    EXPECT_EQ(domains_.map(1, 0, kPage - 1, 0, kMapRead), kNoEntry);
    EXPECT_EQ(domains_.unmap(1, 0, kPage - 1), kNoEntry);
    ASSERT_EQ(domains_.attach(1, 7, false), kOk);
    ASSERT_EQ(domains_.attach(2, 8, false), kOk);
    EXPECT_EQ(domains_.detach(1, 8), kInvalid) << "it is elsewhere";
    EXPECT_EQ(domains_.map(1, 1, kPage - 1, 0, kMapRead), kRange);
    EXPECT_EQ(domains_.map(1, 0, kPage, 0, kMapRead), kRange);
    EXPECT_EQ(domains_.map(1, 0, kPage - 1, 5, kMapRead), kRange);
    EXPECT_EQ(domains_.map(1, kPage, kPage - 1, 0, kMapRead), kInvalid);
    EXPECT_EQ(domains_.map(1, 0, kPage - 1, 0, 8), kInvalid);
    EXPECT_EQ(domains_.map(1, 0, 2 * kPage - 1, ~uint64_t{0} - kPage + 1, kMapRead), kRange);
    EXPECT_EQ(domains_.map(1, 0xfee00000, 0xfee00fff, 0, kMapRead), kInvalid);
    EXPECT_EQ(domains_.map(1, 0, ~uint64_t{0}, 0, kMapRead), kInvalid) << "over the same";
    ASSERT_EQ(domains_.map(1, 0x10000, 0x13fff, 0, kMapRead), kOk);
    for (const auto& [first, last] : {std::pair{0x10000, 0x13fff},
                                      {0x0, 0x10fff},
                                      {0x13000, 0x14fff},
                                      {0x11000, 0x11fff},
                                      {0x0, 0x20fff}}) {
        EXPECT_EQ(
            domains_.map(1, static_cast<uint64_t>(first), static_cast<uint64_t>(last), 0, kMapRead),
            kInvalid);
    }
    EXPECT_EQ(domains_.map(1, 0x14000, 0x14fff, 0, kMapRead), kOk);
    EXPECT_EQ(domains_.map(1, 0xf000, 0xffff, 0, kMapRead), kOk);
}

TEST_F(IommuDomainsTest, ADomainGoesWithItsLastEndpoint) {
    ASSERT_EQ(domains_.attach(1, 7, false), kOk);
    ASSERT_EQ(domains_.attach(1, 8, false), kOk);
    ASSERT_EQ(domains_.map(1, 0, kPage - 1, 0x5000, kMapRead), kOk);
    ASSERT_EQ(domains_.detach(1, 7), kOk);
    EXPECT_EQ(domains_.mappings(), 1u);
    ASSERT_EQ(domains_.attach(1, 7, false), kOk);
    EXPECT_EQ(look(0), 0x5000u);
    ASSERT_EQ(domains_.attach(2, 7, false), kOk) << "it leaves the other one";
    ASSERT_EQ(domains_.attach(2, 8, false), kOk);
    EXPECT_EQ(domains_.mappings(), 0u);
    EXPECT_EQ(domains_.map(1, 0, kPage - 1, 0, kMapRead), kNoEntry);
    domains_.clear();
    EXPECT_EQ(look(0x77), 0x77u);
}

TEST_F(IommuDomainsTest, TakesABoundedPartOfTheHostsMemory) {
    ASSERT_EQ(domains_.attach(1, 7, false), kOk);
    for (uint64_t i = 0; i < IommuDomains::kMappingsMost; ++i)
        ASSERT_EQ(domains_.map(1, (i << 13), (i << 13) + kPage - 1, 0, kMapRead),
                  (i << 13) >= 0xfee00000 && (i << 13) <= 0xfeefffff ? kInvalid : kOk);
    // Those beside the reserved region that were refused.
    size_t more = 0;
    for (uint64_t i = 0; i < 1000; ++i) {
        const uint64_t at = uint64_t{1} << 40 | i << 13;
        more += domains_.map(1, at, at + kPage - 1, 0, kMapRead) == kOk ? 1 : 0;
    }
    EXPECT_EQ(domains_.mappings(), IommuDomains::kMappingsMost);
    EXPECT_LT(more, 1000u);
    EXPECT_EQ(domains_.map(1, 1ull << 50, (1ull << 50) + kPage - 1, 0, kMapRead), kNoMemory);
}

// --- What a device sees.

class TranslatedViewTest : public IommuDomainsTest {
  protected:
    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, 0x100000};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_, seven_};
};

TEST_F(TranslatedViewTest, AnAccessGoesWhereItsPiecesLead) {
    ASSERT_EQ(domains_.attach(1, 7, false), kOk);
    ASSERT_EQ(domains_.map(1, 0x7f0000000000, 0x7f0000000fff, 0x8000, kMapRead | kMapWrite), kOk);
    ASSERT_EQ(domains_.map(1, 0x7f0000001000, 0x7f0000001fff, 0x3000, kMapRead | kMapWrite), kOk);
    const GuestPhys across(0x7f0000000ffc);
    ASSERT_TRUE(view_.store<uint64_t>(across, 0x1122334455667788));
    EXPECT_EQ(memory_->load<uint32_t>(GuestPhys(0x8ffc)), 0x55667788u);
    EXPECT_EQ(memory_->load<uint32_t>(GuestPhys(0x3000)), 0x11223344u);
    EXPECT_EQ(view_.load<uint64_t>(across), 0x1122334455667788u);
    SliceList slices;
    ASSERT_TRUE(view_.slices(across, 8, slices, DmaUse::kWrite));
    EXPECT_EQ(slices.slices().size(), 2u);
    EXPECT_EQ(view_.load_acquire<uint32_t>(GuestPhys(0x7f0000001000)), 0x11223344u);
    EXPECT_FALSE(view_.store<uint64_t>(GuestPhys(0x7f0000001ffc), 0));
    EXPECT_EQ(memory_->load<uint32_t>(GuestPhys(0x3ffc)), 0u) << "nothing of it was done";
    EXPECT_EQ(faults_.back().address, 0x7f0000002000u);
}

TEST_F(TranslatedViewTest, PermissionsHold) {
    ASSERT_EQ(domains_.attach(1, 7, false), kOk);
    ASSERT_EQ(domains_.map(1, 0, 0xfff, 0x8000, kMapRead), kOk);
    ASSERT_EQ(domains_.map(1, 0x1000, 0x1fff, 0x9000, kMapWrite), kOk);
    EXPECT_TRUE(view_.load<uint32_t>(GuestPhys(0)));
    EXPECT_FALSE(view_.store<uint32_t>(GuestPhys(0), 1));
    EXPECT_FALSE(view_.store_release<uint32_t>(GuestPhys(0), 1));
    EXPECT_FALSE(view_.load<uint32_t>(GuestPhys(0x1000)));
    EXPECT_TRUE(view_.store<uint32_t>(GuestPhys(0x1000), 1));
    SliceList slices;
    EXPECT_FALSE(view_.slices(GuestPhys(0), 4, slices, DmaUse::kWrite));
    EXPECT_TRUE(slices.empty());
    EXPECT_TRUE(view_.slices(GuestPhys(0), 4, slices, DmaUse::kRead));
    ASSERT_EQ(domains_.unmap(1, 0, 0xfff), kOk);
    EXPECT_FALSE(view_.load<uint32_t>(GuestPhys(0))) << "it was taken away";
    ASSERT_EQ(domains_.map(1, 0, 0xfff, 0x100000, kMapRead), kOk);
    EXPECT_FALSE(view_.load<uint32_t>(GuestPhys(0))) << "there is no memory";
}

}  // namespace
}  // namespace mynah
