#include "device/interrupt/interrupt_router.h"

#include <gtest/gtest.h>

#include "device/interrupt/local_apic.h"
#include "testing/manual_clock.h"

namespace mynah {
namespace {

class NoStartups final : public StartupSink {
 public:
    void startup(VcpuIndex, uint8_t) override {}
};

// A PC's interrupt hardware as a board puts it together.
class InterruptRouterTest : public ::testing::Test {
 protected:
    InterruptRouterTest() {
        LocalApic::Config config;
        config.timer_hz = 1'000'000'000;
        config.bootstrap = true;
        config.has_tsc_deadline = false;
        config.external = &pics;
        apic = std::make_unique<LocalApic>(config, signals, bus, clock);
        apic->enter_virtual_wire_mode();
        for (IoHandler* ports : {&pics.master_ports(), &pics.slave_ports()}) {
            const bool master = ports == &pics.master_ports();
            ports->write(0, 1, 0x11);
            ports->write(1, 1, master ? 0x30 : 0x38);
            ports->write(1, 1, master ? 0x04 : 0x02);
            ports->write(1, 1, 0x01);
        }
    }
    int take() {
        if ((signals.pending() & CpuSignals::kInterrupt) == 0) return -1;
        const auto vector = apic->acknowledge_interrupt();
        return vector ? *vector : -1;
    }
    void route(unsigned pin, uint32_t entry) {
        io_apic.write(0, 4, 0x10 + 2 * pin);
        io_apic.write(0x10, 4, entry);
    }

    testing::ManualClock clock;
    NoStartups startups;
    ApicBus bus{startups};
    PicPair pics{bus.lint0()};
    IoApic io_apic{bus, clock};
    CpuSignals signals;
    std::unique_ptr<LocalApic> apic;
    InterruptRouter router{pics, io_apic};
};

TEST_F(InterruptRouterTest, ThePicServesThroughVirtualWire) {
    router.isa(0).pulse();
    EXPECT_EQ(take(), 0x30);
    EXPECT_EQ(take(), -1);
    pics.master_ports().write(0, 1, 0x20);
    router.isa(12).pulse();
    EXPECT_EQ(take(), 0x3c);
}

TEST_F(InterruptRouterTest, TheTimerIsPinTwoOfTheIoApic) {
    pics.master_ports().write(1, 1, 0xff);
    pics.slave_ports().write(1, 1, 0xff);
    route(2, 0x42);
    route(4, 0x44);
    router.isa(0).pulse();
    EXPECT_EQ(take(), 0x42);
    apic->mmio_write(GuestPhys{0xfee000b0}, 4, 0);
    router.gsi(Gsi{4}).pulse();
    EXPECT_EQ(take(), 0x44);
    EXPECT_EQ(&router.gsi(Gsi{2}), &router.isa(0));
}

TEST_F(InterruptRouterTest, UpperPinsHaveNoPic) {
    router.gsi(Gsi{20}).pulse();
    EXPECT_EQ(take(), -1);
    route(20, 0x54);
    router.gsi(Gsi{20}).pulse();
    EXPECT_EQ(take(), 0x54);
}

}  // namespace
}  // namespace mynah
