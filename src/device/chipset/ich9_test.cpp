#include <gtest/gtest.h>

#include "device/chipset/dma8237.h"
#include "device/chipset/q35_fixture_test.h"

namespace mynah {
namespace {

using testing::Q35;

constexpr uint16_t kPmBase = 0x600;

struct Ich9 : Q35 {
    Ich9() {
        PciFunction& f = lpc->function();
        f.config_write(ich9::kPmBase, 4, kPmBase);
        f.config_write(ich9::kAcpiControl, 1, ich9::kAcpiEnable);
        f.config_write(ich9::kRootComplexBase, 4, 0xfed1c001);
        EXPECT_TRUE(ports.add("apm", ich9::kApmControlPort, 2, power_management.apm_ports()));
        EXPECT_TRUE(ports.add("pic", 0x20, 2, pics.master_ports()));
        EXPECT_TRUE(ports.add("pic2", 0xa0, 2, pics.slave_ports()));
    }
    // Unmasks everything, vectors from 20h on.
    void start_pics() {
        for (const uint16_t base : {0x20, 0xa0}) {
            ports.write(base, 1, 0x11);
            ports.write(base + 1u, 1, base == 0x20 ? 0x20 : 0x28);
            ports.write(base + 1u, 1, base == 0x20 ? 4 : 2);
            ports.write(base + 1u, 1, 1);
            ports.write(base + 1u, 1, 0);
        }
        pics.elcr_ports().write(1, 1, 0x0c);
    }
};

TEST(Ich9, PmPortsMove) {
    Ich9 ich9;
    EXPECT_EQ(ich9.lpc->function().config_read(ich9::kPmBase, 4), kPmBase | 1u);
    EXPECT_EQ(ich9.ports.read(kPmBase + 4, 2) & 1, 1u) << "ACPI mode";
    ich9.lpc->function().config_write(ich9::kPmBase, 4, 0xb000);
    EXPECT_EQ(ich9.ports.read(kPmBase + 4, 2), 0xffffu);
    EXPECT_EQ(ich9.ports.read(0xb004, 2) & 1, 1u);
    ich9.lpc->reset();
    EXPECT_EQ(ich9.ports.read(0xb004, 2), 0xffffu);
}

TEST(Ich9, PmTimerHas24Bits) {
    Ich9 ich9;
    ich9.clock.advance(1'000'000'000);
    EXPECT_EQ(ich9.ports.read(kPmBase + 8, 4), 3579545u);
    ich9.clock.advance(4'000'000'000);
    EXPECT_EQ(ich9.ports.read(kPmBase + 8, 4), 5u * 3579545 % (1 << 24));
}

TEST(Ich9, GpeBlockIsSplitAsTheChipHasIt) {
    Ich9 ich9;
    ich9.acpi.raise_event(9);
    EXPECT_EQ(ich9.ports.read(kPmBase + 0x20, 4), 1u << 9);
    EXPECT_FALSE(ich9.sci.level());
    ich9.ports.write(kPmBase + 0x28, 2, 1u << 9);
    EXPECT_TRUE(ich9.sci.level());
    EXPECT_EQ(ich9.ports.read(kPmBase + 0x29, 1), 2u);
    ich9.ports.write(kPmBase + 0x21, 1, 2);
    EXPECT_FALSE(ich9.sci.level());
}

TEST(Ich9, SoftOff) {
    Ich9 ich9;
    ich9.ports.write(kPmBase + 4, 2, 0x2000 | 3u << 10);
    EXPECT_EQ(ich9.power.offs, 0);
    ich9.ports.write(kPmBase + 4, 2, 0x2000 | 5u << 10);
    ich9.ports.write(kPmBase + 4, 2, 0x2000);
    EXPECT_EQ(ich9.power.offs, 2);
}

TEST(Ich9, ApmPortAsksForAnSmiWhenEnabled) {
    Ich9 ich9;
    int smis = 0;
    ich9.power_management.on_smi([&] { ++smis; });
    ich9.ports.write(0xb2, 1, 0x17);
    EXPECT_EQ(ich9.ports.read(0xb2, 1), 0x17u);
    EXPECT_EQ(smis, 0);
    ich9.ports.write(kPmBase + 0x30, 4, 0x21);
    ich9.ports.write(0xb2, 1, 0x18);
    EXPECT_EQ(smis, 1);
    EXPECT_EQ(ich9.ports.read(kPmBase + 0x34, 4), 0x20u);
    ich9.ports.write(kPmBase + 0x34, 4, 0x20);
    EXPECT_EQ(ich9.ports.read(kPmBase + 0x34, 4), 0u);
    ich9.lpc->function().config_write(ich9::kGenPmCon1, 2, ich9::kSmiLock);
    ich9.ports.write(kPmBase + 0x30, 4, 0x20);
    EXPECT_EQ(ich9.ports.read(kPmBase + 0x30, 4), 0x21u) << "locked";
    ich9.lpc->function().config_write(ich9::kGenPmCon1, 2, 0);
    EXPECT_EQ(ich9.lpc->function().config_read(ich9::kGenPmCon1, 2), ich9::kSmiLock);
}

TEST(Ich9, PinsReachBothInterruptControllers) {
    Ich9 ich9;
    ich9.start_pics();
    InterruptLine& pin = ich9.pirqs.input({3, 0}, 1);  // PIRQ E + 3: H
    pin.set(true);
    EXPECT_FALSE(ich9.intr.level()) << "not routed to the 8259s";
    ich9.lpc->function().config_write(ich9::kPirqE + 3, 1, 11);
    EXPECT_TRUE(ich9.intr.level());
    EXPECT_EQ(ich9.pics.acknowledge(), 0x28 + 3);
    ich9.lpc->function().config_write(ich9::kPirqE + 3, 1, 2);
    EXPECT_EQ(ich9.lpc->function().config_read(ich9::kPirqE + 3, 1), 2u);
    pin.set(false);
}

TEST(Ich9, ChipsetDevicesAreWiredByRegisters) {
    Ich9 ich9;
    ich9.start_pics();
    EXPECT_EQ(ich9.space.read(0xfed1c000 + ich9::root_complex::kDevice31Route, 2), 0x3210u);
    ich9.lpc->function().config_write(ich9::kPirqA + 2, 1, 10);
    InterruptLine& pin = ich9.pirqs.input({31, 2}, 2);  // INTB: PIRQ B
    pin.set(true);
    EXPECT_FALSE(ich9.intr.level());
    ich9.space.write(0xfed1c000 + ich9::root_complex::kDevice31Route, 2, 0x3220);
    EXPECT_TRUE(ich9.intr.level());
    EXPECT_EQ(ich9.pics.acknowledge(), 0x28 + 2);
    ich9.space.write(0xfed1c000 + ich9::root_complex::kDevice31Route, 1, 0xff);
    EXPECT_EQ(ich9.space.read(0xfed1c000 + ich9::root_complex::kDevice31Route, 2), 0x3277u);
}

TEST(Ich9, SharedPirqIsHighWhileAnyPinIs) {
    Ich9 ich9;
    ich9.start_pics();
    ich9.lpc->function().config_write(ich9::kPirqE, 1, 10);
    InterruptLine& a = ich9.pirqs.input({4, 0}, 1);
    InterruptLine& b = ich9.pirqs.input({8, 0}, 1);
    const auto requested = [&] {
        ich9.ports.write(0xa0, 1, 0x0a);  // the next read is of the IRR
        return (ich9.ports.read(0xa0, 1) & 1u << 2) != 0;
    };
    EXPECT_FALSE(requested());
    a.set(true);
    b.set(true);
    a.set(false);
    EXPECT_TRUE(requested());
    b.set(false);
    EXPECT_FALSE(requested());
}

TEST(Dma8237, AddressesGoThroughTheFlipFlop) {
    IsaDma dma;
    IoHandler& low = dma.low_ports();
    low.write(12, 1, 0);
    low.write(2, 1, 0x34);
    low.write(2, 1, 0x12);
    EXPECT_EQ(low.read(2, 1), 0x34u);
    EXPECT_EQ(low.read(2, 1), 0x12u);
    EXPECT_EQ(low.read(15, 1), 0xffu) << "all masked";
    low.write(10, 1, 1);
    EXPECT_EQ(low.read(15, 1), 0xfdu);
    low.write(9, 1, 6);
    EXPECT_EQ(low.read(8, 1), 0x40u);
    low.write(13, 1, 0);
    EXPECT_EQ(low.read(8, 1), 0u);
    EXPECT_EQ(low.read(15, 1), 0xffu);
    IoHandler& high = dma.high_ports();
    high.write(0x1c, 1, 0);
    EXPECT_EQ(high.read(0x1e, 1), 0xf0u);
    dma.pages().write(2, 1, 0x55);
    EXPECT_EQ(dma.pages().read(2, 1), 0x55u);
    dma.reset();
    EXPECT_EQ(dma.pages().read(2, 1), 0u);
}

}  // namespace
}  // namespace mynah
