#include "device/input/ps2_mouse.h"

#include <gtest/gtest.h>

#include "device/input/ps2_fixture_test.h"

namespace mynah {
namespace {

class Ps2MouseTest : public Ps2Test {
  protected:
    void enable() {
        to_mouse(0xf4);
        EXPECT_EQ(from_mouse(2), (Bytes{0xfa}));
    }
    void rates(std::initializer_list<unsigned> values) {
        for (const unsigned value : values) {
            to_mouse(0xf3);
            to_mouse(static_cast<uint8_t>(value));
        }
        from_mouse();
    }
    Bytes identify() {
        to_mouse(0xf2);
        return from_mouse(4);
    }
    PointerSink& pointer = controller.pointer();
};

TEST_F(Ps2MouseTest, InterfaceTestAndReset) {
    command(0xa9);
    EXPECT_EQ(read(), 0x00);
    to_mouse(0xff);
    EXPECT_EQ(from_mouse(), (Bytes{0xfa, 0xaa, 0x00}));
    to_mouse(0x99);
    EXPECT_EQ(from_mouse(), (Bytes{0xfe}));
}

TEST_F(Ps2MouseTest, PacketsOfThree) {
    pointer.move_by(5, 5);  // not yet enabled
    EXPECT_EQ(from_mouse(), Bytes{});
    EXPECT_FALSE(pointer.listens());
    enable();
    EXPECT_TRUE(pointer.listens());
    pointer.move_by(5, 3);
    EXPECT_EQ(from_mouse(), (Bytes{0x28, 5, 0xfd}));
    pointer.move_by(-1, -2);
    EXPECT_EQ(from_mouse(), (Bytes{0x18, 0xff, 2}));
    pointer.button(PointerButton::kLeft, true);
    pointer.button(PointerButton::kMiddle, true);
    EXPECT_EQ(from_mouse(), (Bytes{0x09, 0, 0, 0x0d, 0, 0}));
    pointer.button(PointerButton::kLeft, false);
    pointer.button(PointerButton::kRight, true);
    EXPECT_EQ(from_mouse(), (Bytes{0x0c, 0, 0, 0x0e, 0, 0}));
    pointer.wheel(1, 0);  // it has none
    EXPECT_EQ(from_mouse(), Bytes{});
}

TEST_F(Ps2MouseTest, MovementsAddUpAndAreCutIntoPackets) {
    enable();
    command(0xa7);
    for (int i = 0; i < 100; ++i) pointer.move_by(6, 0);
    command(0xa8);
    EXPECT_EQ(from_mouse(), (Bytes{0x08, 255, 0, 0x08, 255, 0, 0x08, 90, 0}));
    command(0xa7);
    for (int i = 0; i < 100'000; ++i) pointer.move_by(1'000'000, -1'000'000);
    command(0xa8);
    EXPECT_EQ(from_mouse(1000).size(), 3u * ((16'384 + 254) / 255));
}

TEST_F(Ps2MouseTest, WheelAndFiveButtons) {
    EXPECT_EQ(identify(), (Bytes{0xfa, 0}));
    rates({200, 200, 80});  // too early
    EXPECT_EQ(identify(), (Bytes{0xfa, 0}));
    rates({200, 100, 80});
    EXPECT_EQ(identify(), (Bytes{0xfa, 3}));
    enable();
    pointer.wheel(1, 0);
    EXPECT_EQ(from_mouse(), (Bytes{0x08, 0, 0, 0xff}));
    pointer.wheel(-2, 0);
    pointer.button(PointerButton::kSide, true);  // unknown yet
    EXPECT_EQ(from_mouse(), (Bytes{0x08, 0, 0, 2}));
    pointer.button(PointerButton::kSide, false);
    rates({200, 200, 80});
    EXPECT_EQ(identify(), (Bytes{0xfa, 4}));
    pointer.button(PointerButton::kSide, true);
    EXPECT_EQ(from_mouse(), (Bytes{0x08, 0, 0, 0x10}));
    pointer.wheel(1, 0);
    EXPECT_EQ(from_mouse(), (Bytes{0x08, 0, 0, 0x1f}));
    to_mouse(0xff);
    from_mouse();
    EXPECT_EQ(identify(), (Bytes{0xfa, 0}));
}

TEST_F(Ps2MouseTest, StatusAndSettings) {
    to_mouse(0xe9);
    EXPECT_EQ(from_mouse(), (Bytes{0xfa, 0x00, 2, 100}));
    to_mouse(0xe8);
    to_mouse(3);
    to_mouse(0xf3);
    to_mouse(40);
    to_mouse(0xe7);
    to_mouse(0xf4);
    from_mouse();
    pointer.button(PointerButton::kRight, true);
    from_mouse();
    to_mouse(0xe9);
    EXPECT_EQ(from_mouse(), (Bytes{0xfa, 0x31, 3, 40}));
    pointer.move_by(3, 0);  // doubled
    EXPECT_EQ(from_mouse(), (Bytes{0x0a, 3, 0}));
    pointer.move_by(10, 0);
    EXPECT_EQ(from_mouse(), (Bytes{0x0a, 20, 0}));
    to_mouse(0xf6);
    from_mouse();
    to_mouse(0xe9);
    EXPECT_EQ(from_mouse(), (Bytes{0xfa, 0x01, 2, 100}));
}

TEST_F(Ps2MouseTest, RemoteAndWrapMode) {
    to_mouse(0xf0);
    EXPECT_EQ(from_mouse(), (Bytes{0xfa}));
    pointer.move_by(7, 0);
    EXPECT_EQ(from_mouse(), Bytes{});
    to_mouse(0xeb);
    EXPECT_EQ(from_mouse(), (Bytes{0xfa, 0x08, 7, 0}));
    to_mouse(0xee);
    to_mouse(0x42);
    to_mouse(0xf4);
    EXPECT_EQ(from_mouse(), (Bytes{0xfa, 0x42, 0xf4}));
    to_mouse(0xec);
    EXPECT_EQ(from_mouse(), (Bytes{0xfa}));
    to_mouse(0xe9);
    EXPECT_EQ(from_mouse(4)[1], 0x40u);
}

TEST_F(Ps2MouseTest, InterruptTwelve) {
    configure(0x02);
    enable();
    const uint32_t before = irq12.rises();
    pointer.move_by(1, 0);
    EXPECT_TRUE(irq12.level());
    from_mouse();
    EXPECT_EQ(irq12.rises(), before + 3);
    EXPECT_EQ(irq1.rises(), 0u);
}

}  // namespace
}  // namespace mynah
