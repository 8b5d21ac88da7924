#include "device/interrupt/local_apic_fixture_test.h"

#include <atomic>
#include <thread>

namespace mynah::testing {
namespace {

// --- Registers.

TEST_F(LocalApicTest, ResetValues) {
    EXPECT_EQ(apics[0]->read_msr(msr::kApicBase), 0xfee00900u);
    EXPECT_EQ(apics[1]->read_msr(msr::kApicBase), 0xfee00800u);
    EXPECT_EQ(read(2, Register::kId), 0x02000000u);
    EXPECT_EQ(read(0, Register::kVersion), 0x01050014u);
    EXPECT_EQ(read(0, Register::kTpr), 0u);
    EXPECT_EQ(read(0, Register::kLdr), 0u);
    EXPECT_EQ(read(0, Register::kDfr), 0xffffffffu);
    EXPECT_EQ(read(0, Register::kSvr), 0xffu);
    for (uint8_t reg = 0x32; reg <= 0x37; ++reg) {
        EXPECT_EQ(read(0, static_cast<Register>(reg)), 0x10000u) << int{reg};
    }
    EXPECT_EQ(read(0, Register::kInitialCount), 0u);
    EXPECT_EQ(read(0, Register::kDivide), 0u);
}

TEST_F(LocalApicTest, WriteMasks) {
    enable_all();
    const struct { Register reg; uint32_t reads; } cases[] = {
        {Register::kTpr, 0xff},          {Register::kLdr, 0xff000000},
        {Register::kDfr, 0xffffffff},    {Register::kSvr, 0x13ff},
        {Register::kIcrHigh, 0xff000000}, {Register::kLvtTimer, 0x700ff},
        {Register::kLvtThermal, 0x107ff}, {Register::kLvtPerformance, 0x107ff},
        {Register::kLvtLint0, 0x1a7ff},  {Register::kLvtLint1, 0x1a7ff},
        {Register::kLvtError, 0x100ff},  {Register::kDivide, 0x0b},
        {Register::kId, 0},              {Register::kVersion, 0x01050014},
    };
    for (const auto& c : cases) {
        write(0, c.reg, 0xffffffff);
        EXPECT_EQ(read(0, c.reg), c.reads) << std::hex << static_cast<int>(c.reg);
    }
    write(0, Register::kDfr, 0);
    EXPECT_EQ(read(0, Register::kDfr), 0x0fffffffu);
}

TEST_F(LocalApicTest, OddAccessesAreHarmless) {
    enable_all();
    EXPECT_EQ(apics[1]->mmio_read(GuestPhys{apic::kDefaultBase + 0x23}, 1), 0x01u);
    EXPECT_EQ(apics[1]->mmio_read(GuestPhys{apic::kDefaultBase + 0x24}, 4), 0u);
    EXPECT_EQ(apics[1]->mmio_read(GuestPhys{apic::kDefaultBase + 0x20}, 8), 0x01000000u);
    apics[1]->mmio_write(GuestPhys{apic::kDefaultBase + 0x81}, 4, 0xff);
    apics[1]->mmio_write(GuestPhys{apic::kDefaultBase + 0x80}, 1, 0xff);
    EXPECT_EQ(read(1, Register::kTpr), 0u);
}

TEST_F(LocalApicTest, UnknownRegisterIsAnError) {
    enable_all();
    write(0, Register::kLvtError, 0x41);
    apics[0]->mmio_read(GuestPhys{apic::kDefaultBase + 0x3d0}, 4);
    EXPECT_EQ(take(0), 0x41);
    EXPECT_EQ(read(0, Register::kEsr), 0u);  // not before it is written
    write(0, Register::kEsr, 0);
    EXPECT_EQ(read(0, Register::kEsr), apic::esr::kIllegalRegister);
    write(0, Register::kEsr, 0);
    EXPECT_EQ(read(0, Register::kEsr), 0u);
}

TEST_F(LocalApicTest, AnErrorEntryWithAnIllegalVectorDoesNotReportItselfForEver) {
    enable_all();
    write(0, Register::kLvtError, 0x05);
    apics[0]->mmio_read(GuestPhys{apic::kDefaultBase + 0x3d0}, 4);
    write(0, Register::kEsr, 0);
    EXPECT_EQ(read(0, Register::kEsr),
              apic::esr::kIllegalRegister | apic::esr::kReceiveIllegalVector);
}

TEST_F(LocalApicTest, SwitchedOffItMasksItsEntriesAndTakesNothing) {
    enable_all();
    write(0, Register::kLvtTimer, 0x40);
    write(0, Register::kSvr, 0xff);
    EXPECT_EQ(read(0, Register::kLvtTimer), 0x10040u);
    write(0, Register::kLvtTimer, 0x40);
    EXPECT_EQ(read(0, Register::kLvtTimer), 0x10040u);
    send(0, 0x55);
    EXPECT_FALSE(pending(0));
    send(0, 0, false, DeliveryMode::kNmi);
    EXPECT_TRUE(pending(0, CpuSignals::kNmi));
}

// --- Delivery and priority.

TEST_F(LocalApicTest, AVectorGoesFromIrrToIsrToNothing) {
    enable_all();
    send(1, 0x61);
    EXPECT_TRUE(pending(1));
    EXPECT_FALSE(pending(0));
    EXPECT_EQ(read(1, static_cast<Register>(0x23)), 2u);  // IRR word 3
    EXPECT_EQ(take(1), 0x61);
    EXPECT_FALSE(pending(1));
    EXPECT_EQ(read(1, static_cast<Register>(0x23)), 0u);
    EXPECT_EQ(read(1, static_cast<Register>(0x13)), 2u);  // ISR word 3
    EXPECT_EQ(read(1, Register::kPpr), 0x60u);
    write(1, Register::kEoi, 0);
    EXPECT_EQ(read(1, static_cast<Register>(0x13)), 0u);
    EXPECT_EQ(read(1, Register::kPpr), 0u);
}

TEST_F(LocalApicTest, PriorityClassesNest) {
    enable_all();
    send(0, 0x51);
    EXPECT_EQ(take(0), 0x51);
    send(0, 0x5f);  // same class
    EXPECT_FALSE(pending(0));
    EXPECT_EQ(take(0), -1);
    send(0, 0x60);
    EXPECT_TRUE(pending(0));
    EXPECT_EQ(take(0), 0x60);
    write(0, Register::kEoi, 0);
    EXPECT_FALSE(pending(0));
    write(0, Register::kEoi, 0);
    EXPECT_TRUE(pending(0));
    EXPECT_EQ(take(0), 0x5f);
}

TEST_F(LocalApicTest, TaskPriorityAndCr8) {
    enable_all();
    apics[0]->write_cr8(5);
    EXPECT_EQ(read(0, Register::kTpr), 0x50u);
    EXPECT_EQ(read(0, Register::kPpr), 0x50u);
    EXPECT_EQ(apics[0]->read_cr8(), 5);
    send(0, 0x58);
    EXPECT_FALSE(pending(0));
    apics[0]->write_cr8(4);
    EXPECT_TRUE(pending(0));
    write(0, Register::kTpr, 0x5f);
    EXPECT_FALSE(pending(0));
    EXPECT_EQ(read(0, Register::kPpr), 0x5fu);
    EXPECT_EQ(take(0), -1);
    write(0, Register::kTpr, 0);
    EXPECT_EQ(take(0), 0x58);
}

TEST_F(LocalApicTest, VectorsBelow16AreRefused) {
    enable_all();
    send(0, 0x0f);
    EXPECT_FALSE(pending(0));
    write(0, Register::kEsr, 0);
    EXPECT_EQ(read(0, Register::kEsr), apic::esr::kReceiveIllegalVector);
}

TEST_F(LocalApicTest, LevelInterruptsAreEndedAtTheIoApic) {
    IoApic io_apic(bus, clock);
    enable_all();
    io_apic.write(0, 4, 0x10 + 2 * 9);
    io_apic.write(0x10, 4, 0x59 | 1u << 15);
    io_apic.pin(9).set(true);
    EXPECT_EQ(take(0), 0x59);
    EXPECT_EQ(read(0, static_cast<Register>(0x1a)), 1u << 25);  // TMR word 2
    write(0, Register::kEoi, 0);
    EXPECT_TRUE(pending(0));  // still high
    EXPECT_EQ(take(0), 0x59);
    io_apic.pin(9).set(false);
    write(0, Register::kEoi, 0);
    EXPECT_FALSE(pending(0));
    // An edge with the same vector clears TMR again.
    send(0, 0x59);
    EXPECT_EQ(read(0, static_cast<Register>(0x1a)), 0u);
}

TEST_F(LocalApicTest, ALevelNobodyTakesIsNotForgotten) {
    IoApic io_apic(bus, clock);
    io_apic.write(0, 4, 0x10 + 2 * 9);
    io_apic.write(0x10, 4, 0x59 | 1u << 15);
    io_apic.pin(9).set(true);  // the APIC is switched off
    EXPECT_FALSE(pending(0));
    EXPECT_EQ(io_apic.read(0x10, 4), 0x8059u);  // no remote IRR: nobody would clear it
    enable_all();
    io_apic.write(0x10, 4, 0x59 | 1u << 15);
    EXPECT_EQ(take(0), 0x59);
}

TEST_F(LocalApicTest, EoiBroadcastCanBeSuppressed) {
    IoApic io_apic(bus, clock);
    enable_all();
    write(0, Register::kSvr, 0x11ff);
    io_apic.write(0, 4, 0x10 + 2 * 9);
    io_apic.write(0x10, 4, 0x59 | 1u << 15);
    io_apic.pin(9).set(true);
    EXPECT_EQ(take(0), 0x59);
    write(0, Register::kEoi, 0);
    EXPECT_FALSE(pending(0));
    io_apic.write(0x40, 4, 0x59);
    EXPECT_TRUE(pending(0));
}

// --- External interrupts.

TEST_F(LocalApicTest, VirtualWireModePassesThePicThrough) {
    bus.lint0().set(true);
    EXPECT_FALSE(pending(0));
    apics[0]->enter_virtual_wire_mode();
    EXPECT_TRUE(pending(0));
    EXPECT_FALSE(pending(1));
    EXPECT_EQ(take(0), 0x30);
    EXPECT_FALSE(pending(0));
    EXPECT_EQ(pic.acknowledged, 1);
    EXPECT_EQ(read(0, Register::kPpr), 0u);  // does not count as in service
    // Masking the pin cuts it off.
    write(0, Register::kLvtLint0, 0x10700);
    bus.lint0().set(true);
    EXPECT_FALSE(pending(0));
    write(0, Register::kLvtLint0, 0x00700);
    EXPECT_TRUE(pending(0));
    bus.lint0().set(false);
    EXPECT_EQ(take(0), -1);
    EXPECT_FALSE(pending(0));
}

TEST_F(LocalApicTest, ADisabledApicConnectsThePinsDirectly) {
    ASSERT_TRUE(apics[0]->write_msr(msr::kApicBase, 0xfee00100));
    EXPECT_FALSE(apics[0]->claims(GuestPhys{apic::kDefaultBase}));
    bus.lint0().set(true);
    EXPECT_EQ(take(0), 0x30);
    bus.lint1().set(true);
    EXPECT_TRUE(pending(0, CpuSignals::kNmi));
    EXPECT_FALSE(pending(1, CpuSignals::kNmi));
}

TEST_F(LocalApicTest, AnExternalInterruptMessageIsTakenOnce) {
    send(0, 0, false, DeliveryMode::kExtInt);
    EXPECT_TRUE(pending(0));
    EXPECT_EQ(take(0), 0x30);
    EXPECT_EQ(take(0), -1);
}

TEST_F(LocalApicTest, NmiOnLint1) {
    apics[0]->enter_virtual_wire_mode();
    bus.lint1().set(true);
    EXPECT_TRUE(pending(0, CpuSignals::kNmi));
    signals[0]->lower(CpuSignals::kNmi);
    bus.lint1().set(true);  // no new edge
    EXPECT_FALSE(pending(0, CpuSignals::kNmi));
}

TEST_F(LocalApicTest, ALevelOnALocalPinWaitsForItsEnd) {
    enable_all();
    write(0, Register::kLvtLint1, 0x8077);
    bus.lint1().set(true);
    EXPECT_EQ(take(0), 0x77);
    EXPECT_EQ(read(0, Register::kLvtLint1), 0xc077u);
    bus.lint1().set(true);
    EXPECT_FALSE(pending(0));
    write(0, Register::kEoi, 0);
    EXPECT_EQ(take(0), 0x77);
    bus.lint1().set(false);
    write(0, Register::kEoi, 0);
    EXPECT_FALSE(pending(0));
    EXPECT_EQ(read(0, Register::kLvtLint1), 0x8077u);
}

// --- Threads.

// Every interrupt sent to a processor that goes to sleep whenever no signal is up is taken.
TEST_F(LocalApicTest, NoInterruptIsLeftBehind) {
    enable_all();
    constexpr int kSenders = 3, kEach = 20000;
    std::atomic<int> in_flight[kSenders] = {};
    std::atomic<int> taken{0};
    std::vector<std::thread> threads;
    for (int s = 0; s < kSenders; ++s) {
        threads.emplace_back([&, s] {
            for (int i = 0; i < kEach; ++i) {
                in_flight[s] = 1;
                send(0, static_cast<uint8_t>(0x40 + 0x21 * s));
                // The receiver sees this only through the signal.
                for (long spins = 0; in_flight[s] != 0; ++spins) {
                    if (spins > 200'000'000) {
                        ADD_FAILURE() << "lost";
                        return;
                    }
                    if (spins % 64 == 63) std::this_thread::yield();
                }
            }
        });
    }
    while (taken < kSenders * kEach) {
        if (!pending(0)) {
            if (HasFailure()) break;
            std::this_thread::yield();
            continue;
        }
        const int vector = take(0);
        if (vector < 0) continue;
        write(0, Register::kEoi, 0);
        ++taken;
        in_flight[(vector - 0x40) / 0x21] = 0;
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(taken, kSenders * kEach);
}

}  // namespace
}  // namespace mynah::testing
