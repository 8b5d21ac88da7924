#include "device/chipset/reset_control.h"

#include <gtest/gtest.h>

#include "device/chipset/acpi_registers.h"
#include "device/chipset/post_code_port.h"

namespace mynah {
namespace {

class CountingPower final : public PowerSink {
 public:
    void power_off() override { ++offs; }
    void reset() override { ++resets; }
    int offs = 0, resets = 0;
};

TEST(ResetControl, ResetsOnTheRiseOfBit2) {
    CountingPower power;
    ResetControl control(power);
    control.write(0, 1, 0x02);
    EXPECT_EQ(power.resets, 0);
    control.write(0, 1, acpi::kResetValue);
    EXPECT_EQ(power.resets, 1);
    control.write(0, 1, acpi::kResetValue);
    EXPECT_EQ(power.resets, 1);
    EXPECT_EQ(control.read(0, 1), 0x06u);
    control.write(0, 1, 0xf0);
    EXPECT_EQ(control.read(0, 1), 0x00u);
}

TEST(SystemControlPortA, FastResetAndA20) {
    CountingPower power;
    A20Gate a20;
    SystemControlPortA port(a20, power);
    EXPECT_EQ(port.read(0, 1), 0x02u);
    port.write(0, 1, 0x00);
    EXPECT_FALSE(a20.enabled());
    port.write(0, 1, 0x02);
    EXPECT_TRUE(a20.enabled());
    EXPECT_EQ(power.resets, 0);
    port.write(0, 1, 0x03);
    EXPECT_EQ(power.resets, 1);
}

TEST(PostCodePort, KeepsTheLastCode) {
    PostCodePort port;
    port.write(0, 1, 0x1a5);
    EXPECT_EQ(port.last_code(), 0xa5);
    EXPECT_EQ(port.read(0, 1), 0xa5u);
}

}  // namespace
}  // namespace mynah
