#include "device/interrupt/local_apic_fixture_test.h"

namespace mynah::testing {
namespace {

TEST_F(LocalApicTest, BaseMovesTheRegisterPage) {
    ASSERT_TRUE(apics[0]->write_msr(msr::kApicBase, 0xfed00900));
    EXPECT_FALSE(apics[0]->claims(GuestPhys{0xfee00000}));
    EXPECT_TRUE(apics[0]->claims(GuestPhys{0xfed00fff}));
    EXPECT_FALSE(apics[0]->claims(GuestPhys{0xfed01000}));
    EXPECT_FALSE(apics[0]->claims(GuestPhys{0}));
    EXPECT_EQ(apics[0]->mmio_read(GuestPhys{0xfed00030}, 4), 0x01050014u);
}

TEST_F(LocalApicTest, BaseReservedBitsAndIllegalMovesAreRefused) {
    for (uint64_t bad : {0xfee00901ull, 0xfee00a00ull, 1ull << 46, 0xfee00500ull}) {
        EXPECT_FALSE(apics[0]->write_msr(msr::kApicBase, bad)) << std::hex << bad;
    }
    EXPECT_EQ(apics[0]->read_msr(msr::kApicBase), 0xfee00900u);
    enable_x2apic(0);
    EXPECT_FALSE(apics[0]->claims(GuestPhys{0xfee00000}));
    EXPECT_FALSE(apics[0]->write_msr(msr::kApicBase, 0xfee00900));  // x2APIC to xAPIC
    EXPECT_TRUE(apics[0]->write_msr(msr::kApicBase, 0xfee00100));
    EXPECT_FALSE(apics[0]->write_msr(msr::kApicBase, 0xfee00d00));  // disabled to x2APIC
    EXPECT_TRUE(apics[0]->write_msr(msr::kApicBase, 0xfee00900));
    EXPECT_EQ(read(0, Register::kSvr), 0xffu);
}

TEST_F(LocalApicTest, X2apicMsrsOnlyInX2apicMode) {
    EXPECT_FALSE(read_x2(0, Register::kId).has_value());
    EXPECT_FALSE(write_x2(0, Register::kTpr, 0));
    enable_x2apic(3);
    EXPECT_EQ(read_x2(3, Register::kId), 3u);
    EXPECT_EQ(read_x2(3, Register::kVersion), 0x01050014u);
}

TEST_F(LocalApicTest, X2apicDirectionsAndReservedBits) {
    enable_x2apic(0);
    for (Register reg : {Register::kEoi, Register::kSelfIpi, Register::kDfr, Register::kIcrHigh,
                         Register::kApr, Register::kRrd, Register::kLvtCmci}) {
        EXPECT_FALSE(read_x2(0, reg).has_value()) << std::hex << static_cast<int>(reg);
    }
    EXPECT_FALSE(apics[0]->read_msr(0x800).has_value());
    EXPECT_FALSE(apics[0]->read_msr(0x8ff).has_value());
    for (Register reg : {Register::kId, Register::kVersion, Register::kPpr, Register::kLdr,
                         Register::kIsr0, Register::kTmr0, Register::kIrr0, Register::kCurrentCount,
                         Register::kDfr, Register::kIcrHigh, Register::kLvtCmci}) {
        EXPECT_FALSE(write_x2(0, reg, 0)) << std::hex << static_cast<int>(reg);
    }
    EXPECT_FALSE(write_x2(0, Register::kEoi, 1));
    EXPECT_FALSE(write_x2(0, Register::kEsr, 1));
    EXPECT_FALSE(write_x2(0, Register::kTpr, 0x100));
    EXPECT_FALSE(write_x2(0, Register::kSvr, 0x400));
    EXPECT_FALSE(write_x2(0, Register::kDivide, 4));
    EXPECT_FALSE(write_x2(0, Register::kInitialCount, 1ull << 32));
    EXPECT_FALSE(write_x2(0, Register::kLvtTimer, 0x100));
    EXPECT_FALSE(write_x2(0, Register::kLvtError, 0x100));
    EXPECT_FALSE(write_x2(0, Register::kIcrLow, 1u << 13));
    EXPECT_TRUE(write_x2(0, Register::kEoi, 0));
    EXPECT_TRUE(write_x2(0, Register::kSvr, 0x1ff));
}

TEST_F(LocalApicTest, X2apicIpiAndSelfIpi) {
    for (unsigned i = 0; i < 4; ++i) {
        enable_x2apic(i);
        write_x2(i, Register::kSvr, 0x1ff);
    }
    EXPECT_TRUE(write_x2(0, Register::kIcrLow, uint64_t{2} << 32 | 0x4071));
    EXPECT_EQ(take(2), 0x71);
    EXPECT_EQ(read_x2(0, Register::kIcrLow), uint64_t{2} << 32 | 0x4071);
    EXPECT_TRUE(write_x2(0, Register::kIcrLow, uint64_t{0xffffffff} << 32 | 0x4091));
    for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(take(i), 0x91);
    EXPECT_TRUE(write_x2(1, Register::kSelfIpi, 0xa1));
    EXPECT_EQ(take(1), 0xa1);
    EXPECT_TRUE(write_x2(1, Register::kSelfIpi, 0x01));
    EXPECT_TRUE(write_x2(1, Register::kEsr, 0));
    EXPECT_EQ(read_x2(1, Register::kEsr), uint64_t{apic::esr::kSendIllegalVector});
}

}  // namespace
}  // namespace mynah::testing
