#include "device/interrupt/local_apic_fixture_test.h"

namespace mynah::testing {
namespace {

// --- Destinations.

TEST_F(LocalApicTest, FlatLogicalDestinations) {
    enable_all();
    for (unsigned i = 0; i < 4; ++i) write(i, Register::kLdr, 0x01000000u << i);
    send(0x0a, 0x70, true);
    EXPECT_FALSE(pending(0));
    EXPECT_TRUE(pending(1));
    EXPECT_FALSE(pending(2));
    EXPECT_TRUE(pending(3));
}

TEST_F(LocalApicTest, ClusterLogicalDestinations) {
    enable_all();
    for (unsigned i = 0; i < 4; ++i) {
        write(i, Register::kDfr, 0);
        write(i, Register::kLdr, ((i / 2) << 4 | 1u << (i % 2)) << 24);
    }
    send(0x12, 0x70, true);
    EXPECT_FALSE(pending(0) || pending(1) || pending(2));
    EXPECT_TRUE(pending(3));
    send(0xf1, 0x71, true);  // bit 0 of every cluster
    EXPECT_TRUE(pending(0));
    EXPECT_FALSE(pending(1));
    EXPECT_TRUE(pending(2));
}

TEST_F(LocalApicTest, X2apicLogicalDestinations) {
    for (unsigned i = 0; i < 4; ++i) enable_x2apic(i);
    for (unsigned i = 0; i < 4; ++i) write_x2(i, Register::kSvr, 0x1ff);
    EXPECT_EQ(read_x2(2, Register::kLdr), 4u);
    send(0x6, 0x70, true);
    EXPECT_FALSE(pending(0));
    EXPECT_TRUE(pending(1));
    EXPECT_TRUE(pending(2));
    send(0x10001, 0x70, true);  // another cluster
    EXPECT_FALSE(pending(0));
}

TEST_F(LocalApicTest, BroadcastReachesAllAndNobodyElseIsHarmed) {
    enable_all();
    send(ApicMessage::kBroadcast, 0x70);
    for (unsigned i = 0; i < 4; ++i) EXPECT_TRUE(pending(i));
    send(77, 0x70);
    send(0x12345678, 0x70);
}

TEST_F(LocalApicTest, LowestPriorityPicksTheIdlest) {
    enable_all();
    for (unsigned i = 0; i < 4; ++i) {
        write(i, Register::kLdr, 0x01000000u << i);
        write(i, Register::kTpr, i == 2 ? 0x10 : 0x20);
    }
    for (int i = 0; i < 3; ++i) {
        send(0x0f, static_cast<uint8_t>(0x70 + i), true, DeliveryMode::kLowestPriority);
    }
    EXPECT_FALSE(pending(0) || pending(1) || pending(3));
    EXPECT_EQ(take(2), 0x72);
    // Among equals everybody gets a turn.
    for (unsigned i = 0; i < 4; ++i) write(i, Register::kTpr, 0);
    write(2, Register::kEoi, 0);
    for (unsigned i = 0; i < 4; ++i) {
        while (take(i) >= 0) write(i, Register::kEoi, 0);
    }
    for (int i = 0; i < 4; ++i) send(0x0f, 0x80, true, DeliveryMode::kLowestPriority);
    for (unsigned i = 0; i < 4; ++i) EXPECT_TRUE(pending(i)) << i;
}

TEST_F(LocalApicTest, MessageSignalledInterrupts) {
    enable_all();
    bus.send({0xfee02000, 0x0061});
    EXPECT_EQ(take(2), 0x61);
    write(2, Register::kEoi, 0);
    write(1, Register::kLdr, 0x08000000);
    bus.send({0xfee08004, 0x0062});
    EXPECT_EQ(take(1), 0x62);
    bus.send({0xfee03000, 0xc063});
    EXPECT_EQ(take(3), 0x63);
    EXPECT_EQ(read(3, static_cast<Register>(0x1b)), 8u);  // level: TMR
    bus.send({0xfee03000, 0x8064});                        // level, de-asserted
    EXPECT_FALSE(pending(3));
    bus.send({0xfed00000, 0x61});
    bus.send({0xfee00000, 0x0361});  // reserved delivery mode
    bus.send({0xfee00000, 0x0661});  // start-up cannot be sent by devices
    EXPECT_FALSE(pending(0));
    EXPECT_TRUE(startups.got.empty());
}

// --- Interprocessor interrupts.

TEST_F(LocalApicTest, IpiWithEveryShorthand) {
    enable_all();
    write(0, Register::kIcrHigh, 0x02000000);
    write(0, Register::kIcrLow, 0x4071);
    EXPECT_EQ(take(2), 0x71);
    EXPECT_EQ(read(0, Register::kIcrLow), 0x4071u);
    EXPECT_EQ(read(0, Register::kIcrHigh), 0x02000000u);
    write(1, Register::kIcrLow, 0x44072);
    EXPECT_EQ(take(1), 0x72);
    EXPECT_FALSE(pending(0));
    write(1, Register::kIcrLow, 0xc4093);
    EXPECT_TRUE(pending(0) && pending(2) && pending(3));
    EXPECT_FALSE(pending(1));
    write(1, Register::kIcrLow, 0x840a4);
    EXPECT_EQ(take(1), 0xa4);
}

TEST_F(LocalApicTest, InitAndStartup) {
    write(0, Register::kIcrHigh, 0x03000000);
    write(0, Register::kIcrLow, 0xc500);
    EXPECT_TRUE(pending(3, CpuSignals::kInit));
    signals[3]->lower(CpuSignals::kInit);
    write(0, Register::kIcrLow, 0x8500);  // level de-assert
    EXPECT_FALSE(pending(3, CpuSignals::kInit));
    write(0, Register::kIcrLow, 0x4469a);
    write(0, Register::kIcrLow, 0x0469a);
    ASSERT_EQ(startups.got.size(), 1u);  // the self shorthand is for fixed interrupts only
    EXPECT_EQ(startups.got[0], (std::pair<uint32_t, uint8_t>{3, 0x9a}));
    write(0, Register::kIcrLow, 0xc4400);
    EXPECT_FALSE(pending(0, CpuSignals::kNmi));
    EXPECT_TRUE(pending(1, CpuSignals::kNmi));
}

TEST_F(LocalApicTest, SendingAnIllegalVectorIsAnError) {
    enable_all();
    write(0, Register::kIcrHigh, 0x01000000);
    write(0, Register::kIcrLow, 0x400f);
    write(0, Register::kEsr, 0);
    EXPECT_EQ(read(0, Register::kEsr), apic::esr::kSendIllegalVector);
    EXPECT_FALSE(pending(1));
}

TEST_F(LocalApicTest, InitResetsAllButIdAndBase) {
    enable_all();
    enable_x2apic(1);
    write_x2(1, Register::kTpr, 0x20);
    write_x2(1, Register::kLvtTimer, 0x33);
    write_x2(1, Register::kInitialCount, 1000);
    send(1, 0x81);
    apics[1]->init();
    EXPECT_FALSE(pending(1));
    EXPECT_EQ(read_x2(1, Register::kTpr), 0u);
    EXPECT_EQ(read_x2(1, Register::kLvtTimer), 0x10000u);
    EXPECT_EQ(read_x2(1, Register::kSvr), 0xffu);
    EXPECT_EQ(read_x2(1, Register::kId), 1u);
    EXPECT_EQ(clock.armed(), 0u);
}

}  // namespace
}  // namespace mynah::testing
