#include "device/input/keyboard_controller.h"

#include <gtest/gtest.h>

#include "device/input/i8042_registers.h"
#include "testing/recording_line.h"

namespace mynah {
namespace {

class CountingPower final : public PowerSink {
  public:
    void power_off() override { ++offs; }
    void reset() override { ++resets; }
    int offs = 0, resets = 0;
};

class KeyboardControllerTest : public ::testing::Test {
  protected:
    void command(uint8_t value) { controller.command_port().write(0, 1, value); }
    void data(uint8_t value) { controller.data_port().write(0, 1, value); }
    uint8_t status() { return static_cast<uint8_t>(controller.command_port().read(0, 1)); }
    uint8_t read() { return static_cast<uint8_t>(controller.data_port().read(0, 1)); }

    testing::RecordingLine irq1, irq12;
    A20Gate a20;
    CountingPower power;
    KeyboardController controller{irq1, irq12, a20, power};
};

TEST_F(KeyboardControllerTest, SelfTestAndInterfaceTests) {
    EXPECT_EQ(status(), i8042::status::kUnlocked);
    command(0xaa);
    EXPECT_EQ(status() & i8042::status::kOutputFull, 1);
    EXPECT_EQ(read(), 0x55);
    EXPECT_EQ(status() & i8042::status::kOutputFull, 0);
    EXPECT_NE(status() & i8042::status::kSystem, 0);
    command(0xab);
    EXPECT_EQ(read(), 0x00);
    command(0xa9);
    EXPECT_EQ(read(), 0x01);
}

TEST_F(KeyboardControllerTest, CommandByteAndMemory) {
    command(0x60);
    data(0x65);
    command(0x20);
    EXPECT_EQ(read(), 0x65);
    EXPECT_NE(status() & i8042::status::kSystem, 0);
    command(0xad);
    command(0xa7);
    command(0x20);
    EXPECT_EQ(read(), 0x75 | 0x20);
    command(0xae);
    command(0xa8);
    command(0x20);
    EXPECT_EQ(read(), 0x45);
    command(0x7f);
    data(0x99);
    command(0x3f);
    EXPECT_EQ(read(), 0x99);
}

TEST_F(KeyboardControllerTest, CommandBitTellsWhichPortWasWritten) {
    command(0x60);
    EXPECT_NE(status() & i8042::status::kCommand, 0);
    data(0x00);
    EXPECT_EQ(status() & i8042::status::kCommand, 0);
}

TEST_F(KeyboardControllerTest, AnAbsentKeyboardTimesOut) {
    command(0x60);
    data(0x01);
    data(0xf2);  // identify
    EXPECT_EQ(status() & (i8042::status::kOutputFull | i8042::status::kTimeout |
                          i8042::status::kAuxiliary),
              i8042::status::kOutputFull | i8042::status::kTimeout);
    EXPECT_TRUE(irq1.level());
    EXPECT_EQ(read(), 0xfe);
    EXPECT_FALSE(irq1.level());
    command(0xd4);
    data(0xf2);
    EXPECT_NE(status() & i8042::status::kAuxiliary, 0);
    EXPECT_FALSE(irq12.level());  // not enabled
}

TEST_F(KeyboardControllerTest, LoopBackOfBothOutputBuffers) {
    command(0x60);
    data(0x03);
    command(0xd2);
    data(0x12);
    EXPECT_TRUE(irq1.level());
    EXPECT_EQ(read(), 0x12);
    command(0xd3);
    data(0x34);
    EXPECT_TRUE(irq12.level());
    EXPECT_FALSE(irq1.level());
    EXPECT_EQ(read(), 0x34);
    EXPECT_FALSE(irq12.level());
}

TEST_F(KeyboardControllerTest, PulsingBit0Resets) {
    command(0xff);
    EXPECT_EQ(power.resets, 0);
    command(0xfe);
    EXPECT_EQ(power.resets, 1);
    command(0xf0);
    EXPECT_EQ(power.resets, 2);
    command(0xd1);
    data(0x02);
    EXPECT_EQ(power.resets, 3);
}

TEST_F(KeyboardControllerTest, OutputPortDrivesTheA20Gate) {
    a20.set(A20Gate::kPort92, false);
    EXPECT_FALSE(a20.enabled());
    command(0xd1);
    data(0xdf);
    EXPECT_TRUE(a20.enabled());
    command(0xd0);
    EXPECT_EQ(read() & 0x02, 0x02);
    command(0xd1);
    data(0xdd);
    EXPECT_FALSE(a20.enabled());
    EXPECT_EQ(power.resets, 0);
}

TEST_F(KeyboardControllerTest, ACommandForgetsTheDataByteOfAnother) {
    command(0x60);
    command(0xaa);
    EXPECT_EQ(read(), 0x55);
    data(0x47);  // goes to the keyboard
    command(0x20);
    EXPECT_EQ(read() & 0x47, 0x00);
}

TEST(A20Gate, TellsChangesOfTheWireOnly) {
    A20Gate a20;
    int changes = 0;
    a20.set_listener([&](bool) { ++changes; });
    EXPECT_TRUE(a20.enabled());
    a20.set(A20Gate::kKeyboardController, true);
    a20.set(A20Gate::kPort92, false);
    EXPECT_EQ(changes, 0);
    a20.set(A20Gate::kKeyboardController, false);
    EXPECT_EQ(changes, 1);
    EXPECT_FALSE(a20.enabled());
}

}  // namespace
}  // namespace mynah
