#include "device/interrupt/local_apic.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "device/interrupt/io_apic.h"
#include "spec/x86/msr.h"
#include "testing/manual_clock.h"

namespace mynah {
namespace {

namespace msr = x86::msr;
using apic::Register;

class Startups final : public StartupSink {
 public:
    void startup(VcpuIndex vcpu, uint8_t vector) override { got.emplace_back(vcpu.value, vector); }
    std::vector<std::pair<uint32_t, uint8_t>> got;
};

class FixedPic final : public ExternalInterrupts {
 public:
    uint8_t acknowledge() override {
        ++acknowledged;
        if (line != nullptr) line->set(false);
        return 0x30;
    }
    InterruptLine* line = nullptr;
    int acknowledged = 0;
};

class LocalApicTest : public ::testing::Test {
 protected:
    static constexpr uint64_t kHz = 1'000'000'000;  // a count is a nanosecond

    LocalApicTest() {
        for (uint32_t i = 0; i < 4; ++i) {
            signals.push_back(std::make_unique<CpuSignals>());
            LocalApic::Config config;
            config.vcpu = VcpuIndex{i};
            config.apic_id = i;
            config.bootstrap = i == 0;
            config.timer_hz = kHz;
            config.clock_ns_at_tsc = [this](uint64_t tsc) { return tsc / 2 + tsc_shift; };
            config.external = &pic;
            apics.push_back(
                std::make_unique<LocalApic>(config, *signals[i], bus, clock));
        }
        pic.line = &bus.lint0();
    }

    uint32_t read(unsigned cpu, Register reg) {
        return static_cast<uint32_t>(apics[cpu]->mmio_read(address(reg), 4));
    }
    void write(unsigned cpu, Register reg, uint32_t value) {
        apics[cpu]->mmio_write(address(reg), 4, value);
    }
    static GuestPhys address(Register reg) {
        return GuestPhys{apic::kDefaultBase + static_cast<uint64_t>(reg) * 16};
    }
    void enable_all() {
        for (unsigned i = 0; i < 4; ++i) write(i, Register::kSvr, 0x1ff);
    }
    void enable_x2apic(unsigned cpu) {
        const uint64_t base = *apics[cpu]->read_msr(msr::kApicBase);
        ASSERT_TRUE(apics[cpu]->write_msr(msr::kApicBase, base | msr::kApicBaseExtd));
    }
    bool write_x2(unsigned cpu, Register reg, uint64_t value) {
        return apics[cpu]->write_msr(msr::kX2ApicFirst + static_cast<uint32_t>(reg), value);
    }
    std::optional<uint64_t> read_x2(unsigned cpu, Register reg) {
        return apics[cpu]->read_msr(msr::kX2ApicFirst + static_cast<uint32_t>(reg));
    }
    bool pending(unsigned cpu, uint32_t signal = CpuSignals::kInterrupt) {
        return (signals[cpu]->pending() & signal) != 0;
    }
    int take(unsigned cpu) {
        const auto vector = apics[cpu]->acknowledge_interrupt();
        return vector ? *vector : -1;
    }
    void send(uint32_t destination, uint8_t vector, bool logical = false,
              DeliveryMode mode = DeliveryMode::kFixed) {
        ApicMessage message;
        message.destination = destination;
        message.vector = vector;
        message.logical = logical;
        message.mode = mode;
        bus.deliver(message);
    }

    testing::ManualClock clock;
    Startups startups;
    ApicBus bus{startups};
    FixedPic pic;
    uint64_t tsc_shift = 0;
    std::vector<std::unique_ptr<CpuSignals>> signals;
    std::vector<std::unique_ptr<LocalApic>> apics;
};

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
    IoApic io_apic(bus);
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

TEST_F(LocalApicTest, EoiBroadcastCanBeSuppressed) {
    IoApic io_apic(bus);
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

// --- Timer.

TEST_F(LocalApicTest, OneShotTimer) {
    enable_all();
    write(0, Register::kDivide, 0xb);
    write(0, Register::kLvtTimer, 0xec);
    write(0, Register::kInitialCount, 1000);
    clock.advance(400);
    EXPECT_EQ(read(0, Register::kCurrentCount), 600u);
    EXPECT_FALSE(pending(0));
    clock.advance(600);
    EXPECT_EQ(take(0), 0xec);
    EXPECT_EQ(clock.armed(), 0u);
}

TEST_F(LocalApicTest, PeriodicTimerAndItsMask) {
    enable_all();
    write(0, Register::kDivide, 0xb);
    write(0, Register::kLvtTimer, 0x200ec);
    write(0, Register::kInitialCount, 1'000'000);
    for (int i = 0; i < 3; ++i) {
        clock.advance(1'000'000);
        EXPECT_EQ(take(0), 0xec);
        write(0, Register::kEoi, 0);
    }
    write(0, Register::kLvtTimer, 0x300ec);
    clock.advance(3'000'000);
    EXPECT_FALSE(pending(0));
    EXPECT_EQ(clock.armed(), 1u);
    write(0, Register::kInitialCount, 0);
    EXPECT_EQ(clock.armed(), 0u);
}

TEST_F(LocalApicTest, TscDeadline) {
    enable_all();
    ASSERT_TRUE(apics[0]->write_msr(msr::kTscDeadline, 4000));
    EXPECT_EQ(apics[0]->read_msr(msr::kTscDeadline), 0u);  // not in this mode
    write(0, Register::kLvtTimer, 0x400ec);
    ASSERT_TRUE(apics[0]->write_msr(msr::kTscDeadline, 4000));
    EXPECT_EQ(apics[0]->read_msr(msr::kTscDeadline), 4000u);
    clock.advance(1999);
    EXPECT_FALSE(pending(0));
    clock.advance(1);
    EXPECT_EQ(take(0), 0xec);
    EXPECT_EQ(apics[0]->read_msr(msr::kTscDeadline), 0u);
    write(0, Register::kEoi, 0);
    // A deadline that is past fires at once, without the clock.
    ASSERT_TRUE(apics[0]->write_msr(msr::kTscDeadline, 10));
    EXPECT_EQ(take(0), 0xec);
    // Writing the TSC moves the deadline.
    ASSERT_TRUE(apics[0]->write_msr(msr::kTscDeadline, 8000));
    tsc_shift = 1000;
    apics[0]->tsc_changed();
    EXPECT_EQ(clock.next_deadline(), 5000u);
    ASSERT_TRUE(apics[0]->write_msr(msr::kTscDeadline, 0));
    EXPECT_EQ(clock.armed(), 0u);
}

// --- IA32_APIC_BASE and x2APIC.

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
}  // namespace mynah
