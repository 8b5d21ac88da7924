#include "device/input/ps2_keyboard.h"

#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

#include "device/input/ps2_fixture_test.h"
#include "device/input/scan_codes.h"

namespace mynah {
namespace {

constexpr uint64_t kMs = 1'000'000;

class Ps2KeyboardTest : public Ps2Test {
  protected:
    void press_and_release(uint16_t code) {
        key(code, true);
        key(code, false);
    }
};

TEST_F(Ps2KeyboardTest, ResetAndIdentify) {
    data(0xff);
    EXPECT_EQ(receive(), (Bytes{0xfa, 0xaa}));
    data(0xf2);
    EXPECT_EQ(receive(), (Bytes{0xfa, 0xab, 0x83}));
    configure(0x41);  // translated
    data(0xf2);
    EXPECT_EQ(receive(), (Bytes{0xfa, 0xab, 0x41}));
    data(0xee);
    EXPECT_EQ(receive(), (Bytes{0xee}));
    data(0x01);
    EXPECT_EQ(receive(), (Bytes{0xfe}));
}

TEST_F(Ps2KeyboardTest, KeysInSet2AndTranslated) {
    press_and_release(KEY_A);
    EXPECT_EQ(receive(), (Bytes{0x1c, 0xf0, 0x1c}));
    press_and_release(KEY_UP);
    EXPECT_EQ(receive(), (Bytes{0xe0, 0x75, 0xe0, 0xf0, 0x75}));
    configure(0x41);
    press_and_release(KEY_A);
    EXPECT_EQ(receive(), (Bytes{0x1e, 0x9e}));
    press_and_release(KEY_UP);
    EXPECT_EQ(receive(), (Bytes{0xe0, 0x48, 0xe0, 0xc8}));
    press_and_release(KEY_F7);
    EXPECT_EQ(receive(), (Bytes{0x41, 0xc1}));
}

// Linux numbers the keys of the old keyboard by their codes in set 1.
TEST_F(Ps2KeyboardTest, TranslationMeetsTheNumbersOfKeys) {
    for (uint16_t code = KEY_ESC; code <= KEY_F12; ++code) {
        if (code == 84 || code == KEY_ZENKAKUHANKAKU) continue;  // not keys of this one
        const ScanCode scan = scan_code(code);
        ASSERT_NE(scan.set2, 0) << code;
        EXPECT_FALSE(scan.extended) << code;
        EXPECT_EQ(translate_to_set1(scan.set2), code);
    }
}

TEST_F(Ps2KeyboardTest, EveryKeyHasACodeOfItsOwnInEachSet) {
    std::bitset<512> set2;
    std::bitset<256> set3;
    unsigned keys = 0;
    for (uint16_t code = 0; code < 256; ++code) {
        const ScanCode scan = scan_code(code);
        if (scan.set2 == 0) continue;
        ++keys;
        const unsigned index = scan.set2 + (scan.extended ? 256u : 0);
        EXPECT_FALSE(set2[index]) << code;
        set2[index] = true;
        if (scan.set3 == 0) continue;
        EXPECT_TRUE(!set3[scan.set3] || code == KEY_YEN) << code;
        set3[scan.set3] = true;
    }
    EXPECT_GE(keys, 104u);
    EXPECT_EQ(scan_code(KEY_MAX).set2, 0);
}

TEST_F(Ps2KeyboardTest, PauseAndPrintScreen) {
    press_and_release(KEY_PAUSE);
    EXPECT_EQ(receive(), (Bytes{0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77}));
    press_and_release(KEY_SYSRQ);
    EXPECT_EQ(receive(), (Bytes{0xe0, 0x12, 0xe0, 0x7c, 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12}));
    key(KEY_LEFTALT, true);
    EXPECT_EQ(receive(false, 8), (Bytes{0x11}));
    press_and_release(KEY_SYSRQ);
    EXPECT_EQ(receive(false, 8), (Bytes{0x84, 0xf0, 0x84}));
    key(KEY_LEFTALT, false);
    key(KEY_LEFTCTRL, true);
    EXPECT_EQ(receive(false, 8), (Bytes{0xf0, 0x11, 0x14}));
    press_and_release(KEY_PAUSE);
    EXPECT_EQ(receive(), (Bytes{0xe0, 0x7e, 0xe0, 0xf0, 0x7e}));
}

TEST_F(Ps2KeyboardTest, ScanCodeSets) {
    data(0xf0);
    data(0x00);
    EXPECT_EQ(receive(), (Bytes{0xfa, 0xfa, 0x02}));
    data(0xf0);
    data(0x01);
    EXPECT_EQ(receive(), (Bytes{0xfa, 0xfa}));
    press_and_release(KEY_UP);
    EXPECT_EQ(receive(), (Bytes{0xe0, 0x48, 0xe0, 0xc8}));
    data(0xf0);
    data(0x03);
    EXPECT_EQ(receive(), (Bytes{0xfa, 0xfa}));
    press_and_release(KEY_UP);
    EXPECT_EQ(receive(), (Bytes{0x63, 0xf0, 0x63}));
    data(0xfd);  // make only: this key
    data(0x63);
    EXPECT_EQ(receive(), (Bytes{0xfa, 0xfa}));
    press_and_release(KEY_UP);
    press_and_release(KEY_DOWN);
    EXPECT_EQ(receive(), (Bytes{0x63, 0x60, 0xf0, 0x60}));
    data(0xf0);
    data(0x04);
    EXPECT_EQ(receive(), (Bytes{0xfa, 0xfe}));
    data(0xf6);
    EXPECT_EQ(receive(), (Bytes{0xfa}));
    press_and_release(KEY_UP);
    EXPECT_EQ(receive(), (Bytes{0xe0, 0x75, 0xe0, 0xf0, 0x75}));
}

TEST_F(Ps2KeyboardTest, LedsAndACommandInsteadOfAnArgument) {
    data(0xed);
    data(0x07);
    EXPECT_EQ(receive(), (Bytes{0xfa, 0xfa}));
    EXPECT_EQ(controller.leds(), 7);
    data(0xed);
    data(0xee);
    EXPECT_EQ(receive(), (Bytes{0xfa, 0xee}));
    EXPECT_EQ(controller.leds(), 7);
}

TEST_F(Ps2KeyboardTest, RepeatsWhileHeld) {
    key(KEY_A, true);
    EXPECT_EQ(receive(false, 4), (Bytes{0x1c}));
    clock.advance(498 * kMs);
    EXPECT_EQ(receive(false, 1), Bytes{});
    clock.advance(2 * kMs);
    EXPECT_EQ(receive(false, 1), (Bytes{0x1c}));
    clock.advance(92 * kMs);
    EXPECT_EQ(receive(false, 1), (Bytes{0x1c}));
    key(KEY_B, true);  // the last one pressed repeats
    EXPECT_EQ(receive(false, 2), (Bytes{0x32}));
    clock.advance(500 * kMs);
    EXPECT_EQ(receive(false, 1), (Bytes{0x32}));
    key(KEY_B, false);
    EXPECT_EQ(receive(false, 4), (Bytes{0xf0, 0x32}));
    clock.advance(5000 * kMs);
    EXPECT_EQ(receive(), Bytes{});
    EXPECT_EQ(clock.armed(), 0u);
}

TEST_F(Ps2KeyboardTest, TypematicRateIsSet) {
    data(0xf3);
    data(0x00);  // 250 ms, then every 33 ms
    EXPECT_EQ(receive(), (Bytes{0xfa, 0xfa}));
    key(KEY_A, true);
    receive(false, 1);
    clock.advance(250 * kMs);
    EXPECT_EQ(receive(false, 1), (Bytes{0x1c}));
    clock.advance(34 * kMs);
    EXPECT_EQ(receive(false, 1), (Bytes{0x1c}));
    // Nobody reads: one code waits, not thousands.
    clock.advance(60'000 * kMs);
    key(KEY_A, false);
    EXPECT_LE(receive().size(), 6u);
}

TEST_F(Ps2KeyboardTest, AKeyThatIsDownGoesDownOnce) {
    key(KEY_A, true);
    key(KEY_A, true);
    key(KEY_A, false);
    key(KEY_A, false);
    EXPECT_EQ(receive(), (Bytes{0x1c, 0xf0, 0x1c}));
    key(KEY_MAX, true);
    key(0, true);
    EXPECT_EQ(receive(), Bytes{});
}

TEST_F(Ps2KeyboardTest, DisabledKeyboardIsSilent) {
    data(0xf5);
    EXPECT_EQ(receive(), (Bytes{0xfa}));
    EXPECT_FALSE(controller.keys().listens());
    press_and_release(KEY_A);
    EXPECT_EQ(receive(), Bytes{});
    data(0xf4);
    EXPECT_EQ(receive(), (Bytes{0xfa}));
    EXPECT_TRUE(controller.keys().listens());
    // The controller's own switch only holds bytes back.
    command(0xad);
    press_and_release(KEY_A);
    EXPECT_EQ(receive(), Bytes{});
    command(0xae);
    EXPECT_EQ(receive(), (Bytes{0x1c, 0xf0, 0x1c}));
}

TEST_F(Ps2KeyboardTest, AFullQueueLosesKeysButNoReleases) {
    for (unsigned i = 0; i < 3000; ++i) press_and_release(static_cast<uint16_t>(2 + i % 10));
    const Bytes bytes = receive(false, 10000);
    EXPECT_GE(bytes.size(), 3u * 1000);  // a paragraph that was pasted
    EXPECT_LT(bytes.size(), 3u * 3000);
    int down = 0;
    for (size_t i = 0; i < bytes.size(); ++i) {
        if (bytes[i] == 0xf0) {
            --down;
            ++i;
        } else {
            ++down;
        }
    }
    EXPECT_EQ(down, 0);
}

TEST_F(Ps2KeyboardTest, OneInterruptAByteAndTimeBetweenThem) {
    configure(0x01);
    const uint32_t before = irq1.rises();
    key(KEY_UP, true);
    EXPECT_EQ(irq1.rises(), before + 1);
    EXPECT_EQ(read(), 0xe0);
    EXPECT_FALSE(irq1.level());
    EXPECT_EQ(read(), 0xe0);  // a second reader of the same interrupt
    clock.advance(KeyboardController::kByteNs);
    EXPECT_EQ(irq1.rises(), before + 2);
    EXPECT_EQ(read(), 0x75);
}

TEST_F(Ps2KeyboardTest, WhoPollsNeedsNoTimer) {
    key(KEY_UP, true);
    EXPECT_EQ(read(), 0xe0);
    EXPECT_EQ(status() & i8042::status::kOutputFull, 0);
    clock.jump(KeyboardController::kByteNs);  // the clock's thread does not get to run
    EXPECT_EQ(status() & i8042::status::kOutputFull, 1);
    EXPECT_EQ(read(), 0x75);
}

TEST_F(Ps2KeyboardTest, AnswersOfTheControllerGoBeforeAKeyThatWaits) {
    key(KEY_A, true);
    command(0x20);
    EXPECT_EQ(read(), 0x00);
    clock.advance(KeyboardController::kByteNs);
    EXPECT_EQ(read(), 0x1c);
}

}  // namespace
}  // namespace mynah
