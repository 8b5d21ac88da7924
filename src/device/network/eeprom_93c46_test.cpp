#include "device/network/eeprom_93c46.h"

#include <gtest/gtest.h>

namespace mynah {
namespace {

class Eeprom93c46Test : public ::testing::Test {
  protected:
    void clock_in(bool bit) {
        chip_.set_pins(true, false, bit);
        chip_.set_pins(true, true, bit);
    }
    bool clock_out() {
        clock_in(false);
        return chip_.data_out();
    }
    void send(unsigned value, int bits) {
        for (int i = bits - 1; i >= 0; --i) clock_in((value >> i & 1) != 0);
    }
    void select() {
        chip_.set_pins(false, false, false);
        chip_.set_pins(true, false, false);
    }
    void deselect() { chip_.set_pins(false, false, false); }
    void command(unsigned opcode, unsigned address) {
        select();
        clock_in(false);  // bits before the start bit count for nothing
        clock_in(true);
        send(opcode << 6 | address, 8);
    }
    uint16_t receive() {
        unsigned value = 0;
        for (int i = 0; i < 16; ++i) value = value << 1 | (clock_out() ? 1 : 0);
        return static_cast<uint16_t>(value);
    }
    uint16_t read(unsigned address) {
        command(2, address);
        EXPECT_FALSE(chip_.data_out());  // the dummy zero
        const uint16_t value = receive();
        deselect();
        return value;
    }
    void enable_writes() {
        command(0, 0x30);
        deselect();
    }
    void write(unsigned address, uint16_t value) {
        command(1, address);
        send(value, 16);
        deselect();
    }
    Eeprom93c46 chip_;
};

TEST_F(Eeprom93c46Test, ReadsWords) {
    chip_.words()[0] = 0x1234;
    chip_.words()[63] = 0xfedc;
    EXPECT_EQ(read(0), 0x1234);
    EXPECT_EQ(read(63), 0xfedc);
}

TEST_F(Eeprom93c46Test, ReadsOnAndOn) {
    chip_.words()[62] = 1;
    chip_.words()[63] = 2;
    chip_.words()[0] = 3;
    command(2, 62);
    EXPECT_EQ(receive(), 1);
    EXPECT_EQ(receive(), 2);
    EXPECT_EQ(receive(), 3);  // around
}

TEST_F(Eeprom93c46Test, WritesOnlyWhenEnabled) {
    write(5, 0xabcd);
    EXPECT_EQ(read(5), 0);
    enable_writes();
    write(5, 0xabcd);
    EXPECT_TRUE(chip_.data_out());
    EXPECT_EQ(read(5), 0xabcd);
    command(3, 5);  // erase
    EXPECT_EQ(read(5), 0xffff);
    command(0, 0x10);  // all words
    send(0x5555, 16);
    EXPECT_EQ(read(9), 0x5555);
    command(0, 0x20);  // erase all
    EXPECT_EQ(read(9), 0xffff);
    command(0, 0x00);  // disable
    write(9, 1);
    EXPECT_EQ(read(9), 0xffff);
}

TEST_F(Eeprom93c46Test, ForgetsAnInstructionThatIsCutOff) {
    enable_writes();
    command(1, 3);
    send(0xff, 8);
    deselect();
    EXPECT_EQ(read(3), 0);
}

}  // namespace
}  // namespace mynah
