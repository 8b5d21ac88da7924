#include <gtest/gtest.h>

#include "device/chipset/q35_fixture_test.h"

namespace mynah {
namespace {

using testing::Q35;

void set_pam(Q35& q35, unsigned number, uint8_t value) {
    q35.mch->function().config_write(mch::kPam0 + number, 1, value);
}
void set_smram(Q35& q35, uint8_t value) { q35.mch->function().config_write(mch::kSmram, 1, value); }

TEST(Mch82G33, TheRomIsSeenBelowOneMegabyteAtFirst) {
    Q35 q35;
    EXPECT_EQ(q35.at(0xfffff), q35.rom.host + Q35::kRom - 1);
    EXPECT_EQ(q35.at(0xe0000), q35.rom.host + Q35::kRom - 0x20000);
    EXPECT_EQ(q35.at(0xc0000), nullptr);
    EXPECT_EQ(q35.at(0xa0000), nullptr) << "left to display adapters";
    EXPECT_NE(q35.at(0x9ffff), nullptr);
    EXPECT_FALSE(q35.memory->store(GuestPhys(0xf0000), uint8_t{1}));
}

TEST(Mch82G33, PamTurnsSegmentsIntoRam) {
    Q35 q35;
    std::byte* const ram = q35.at(0);
    set_pam(q35, 0, 0xff);
    EXPECT_EQ(q35.mch->function().config_read(mch::kPam0, 1), 0x30u);
    EXPECT_EQ(q35.at(0xf0000), ram + 0xf0000);
    EXPECT_TRUE(q35.memory->store(GuestPhys(0xf0000), uint8_t{1}));
    set_pam(q35, 0, 0x10);
    EXPECT_EQ(q35.at(0xf0000), ram + 0xf0000);
    EXPECT_FALSE(q35.memory->store(GuestPhys(0xf0000), uint8_t{1})) << "read-only";
    set_pam(q35, 1, 0x03);
    EXPECT_EQ(q35.at(0xc0000), ram + 0xc0000);
    EXPECT_EQ(q35.at(0xc4000), nullptr);
    set_pam(q35, 6, 0x30);
    EXPECT_EQ(q35.at(0xec000), ram + 0xec000);
    EXPECT_EQ(q35.at(0xe8000), q35.rom.host + Q35::kRom - 0x18000);
    q35.mch->reset();
    EXPECT_EQ(q35.at(0xc0000), nullptr);
}

TEST(Mch82G33, WriteOnlySegmentsAreCopiedThrough) {
    Q35 q35;
    std::byte* const ram = q35.at(0);
    set_pam(q35, 0, 0x20);
    EXPECT_EQ(q35.at(0xf0000), q35.rom.host + Q35::kRom - 0x10000) << "reads come from ROM";
    q35.space.write(0xf0010, 4, 0x11223344);
    EXPECT_EQ(ram[0xf0010], std::byte{0x44});
    EXPECT_EQ(ram[0xf0013], std::byte{0x11});
    set_pam(q35, 0, 0x00);
    q35.space.write(0xf0010, 1, 0);
    EXPECT_EQ(ram[0xf0010], std::byte{0x44});
}

TEST(Mch82G33, EcamGoesWherePciexbarSays) {
    Q35 q35;
    PciFunction& f = q35.mch->function();
    EXPECT_EQ(q35.space.read(0xb0000000, 4), 0xffffffffu);
    f.config_write(mch::kPciExpressBar, 4, 0xb0000001);
    EXPECT_EQ(q35.space.read(0xb0000000, 4), 0x29c08086u);
    EXPECT_EQ(q35.space.read(0xb00f8000, 4), 0x29188086u);
    // 64 MiB: as many buses, and the window ends there.
    f.config_write(mch::kPciExpressBar, 4, 0xe0000005);
    EXPECT_EQ(q35.space.read(0xb0000000, 4), 0xffffffffu);
    EXPECT_EQ(q35.space.read(0xe0000000, 2), 0x8086u);
    f.config_write(mch::kPciExpressBar + 4, 4, 0xffffffff);
    EXPECT_EQ(f.config_read(mch::kPciExpressBar + 4, 4), 0xfu);
    EXPECT_EQ(q35.space.read(0xfe0000000, 2), 0x8086u);
    f.config_write(mch::kPciExpressBar, 4, 0);
    EXPECT_EQ(q35.space.read(0xfe0000000, 2), 0xffffu);
}

TEST(Mch82G33, SmramIsManagementModesUnlessOpen) {
    Q35 q35;
    std::byte* const ram = q35.at(0);
    EXPECT_EQ(q35.at(0xa0000, MemoryView::kManagement), nullptr);
    set_smram(q35, mch::smram::kEnable);
    EXPECT_EQ(q35.at(0xa0000, MemoryView::kManagement), ram + 0xa0000);
    EXPECT_EQ(q35.at(0xa0000), nullptr);
    set_smram(q35, mch::smram::kEnable | mch::smram::kOpen);
    EXPECT_EQ(q35.at(0xa0000), ram + 0xa0000);
}

TEST(Mch82G33, LockedSmramStaysClosed) {
    Q35 q35;
    PciFunction& f = q35.mch->function();
    f.config_write(mch::kExtendedSmram, 1, mch::extended_smram::kTsegEnable);
    set_smram(q35, mch::smram::kEnable | mch::smram::kOpen | mch::smram::kLock);
    EXPECT_EQ(q35.at(0xa0000), nullptr) << "locking closes";
    set_smram(q35, mch::smram::kEnable | mch::smram::kOpen);
    EXPECT_EQ(q35.at(0xa0000), nullptr);
    set_smram(q35, 0);
    EXPECT_EQ(f.config_read(mch::kSmram, 1) & mch::smram::kEnable, mch::smram::kEnable);
    f.config_write(mch::kExtendedSmram, 1, 0);
    EXPECT_EQ(q35.at(Q35::kLowMemory - 1), nullptr) << "TSEG stays hidden";
    q35.mch->reset();
    set_smram(q35, mch::smram::kEnable | mch::smram::kOpen);
    EXPECT_NE(q35.at(0xa0000), nullptr);
}

TEST(Mch82G33, TsegIsTheEndOfLowMemory) {
    Q35 q35;
    PciFunction& f = q35.mch->function();
    constexpr uint64_t kMib = 1 << 20;
    EXPECT_EQ(f.config_read(mch::kExtendedTsegMib, 2), 16u);
    set_smram(q35, mch::smram::kEnable);
    const uint64_t sizes[] = {1 * kMib, 2 * kMib, 8 * kMib, 16 * kMib};
    for (unsigned i = 0; i < 4; ++i) {
        f.config_write(mch::kExtendedSmram, 1, i << 1 | mch::extended_smram::kTsegEnable);
        EXPECT_EQ(q35.at(Q35::kLowMemory - sizes[i]), nullptr) << i;
        EXPECT_NE(q35.at(Q35::kLowMemory - sizes[i] - 1), nullptr) << i;
        EXPECT_NE(q35.at(Q35::kLowMemory - 1, MemoryView::kManagement), nullptr) << i;
    }
}

}  // namespace
}  // namespace mynah
