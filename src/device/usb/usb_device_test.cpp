#include "device/usb/usb_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

#include "device/usb/usb_guest_test.h"
#include "device/usb/usb_keyboard.h"
#include "device/usb/usb_pointer.h"
#include "device/usb/usb_storage.h"
#include "spec/usb/hid.h"
#include "testing/manual_clock.h"
#include "testing/memory_disk.h"

namespace mynah::testing {
namespace {

using ::testing::ElementsAre;

// Tokens without a controller.
class DirectPipes final : public UsbPipes, public UsbHost {
  public:
    explicit DirectPipes(UsbDevice& device, UsbSpeed speed) : device_(device) {
        device_.plug(*this);
        device_.connect(speed);
    }
    ~DirectPipes() override { device_.unplug(); }

    GuestReply control(const usb::Setup& setup, const Bytes& data = {}) override {
        device_.setup(setup);
        const bool to_host = (setup.request_type & usb::kRequestIn) != 0;
        GuestReply reply;
        if (setup.length > 0 && to_host) reply = in(0, setup.length);
        if (setup.length > 0 && !to_host) reply = out(0, data);
        if (!reply.ok()) return reply;
        reply.status = to_host && setup.length > 0 ? out(0, {}).status : in(0, 0).status;
        return reply;
    }
    GuestReply in(uint8_t endpoint, uint32_t size) override {
        Bytes data(size);
        const UsbReply reply = device_.in(endpoint & 15, std::as_writable_bytes(std::span(data)));
        data.resize(reply.size);
        short_packet = reply.short_packet;
        let_work();
        return {status(reply), data};
    }
    GuestReply out(uint8_t endpoint, const Bytes& data) override {
        const UsbReply reply = device_.out(endpoint & 15, std::as_bytes(std::span(data)));
        let_work();
        return {status(reply), {}};
    }
    void open(const Bytes&) override {}
    void clear_halt(uint8_t) override {}
    void wake(UsbDevice&, uint8_t endpoint) override { woken.push_back(endpoint); }
    void let_work() {
        while (device_.has_work()) device_.perform();
    }

    std::vector<uint8_t> woken;
    bool short_packet = false;

  private:
    static GuestStatus status(const UsbReply& reply) {
        switch (reply.status) {
            case UsbStatus::kOk:
                return GuestStatus::kOk;
            case UsbStatus::kNak:
                return GuestStatus::kPending;
            case UsbStatus::kStall:
                return GuestStatus::kStall;
            default:
                return GuestStatus::kError;
        }
    }
    UsbDevice& device_;
};

// Walks a configuration descriptor as lsusb does; the total of its parts.
void check_configuration(const Bytes& whole) {
    ASSERT_GE(whole.size(), 18u);
    EXPECT_EQ(whole[2] | whole[3] << 8, static_cast<int>(whole.size()));
    size_t at = 0;
    unsigned endpoints = 0;
    while (at < whole.size()) {
        ASSERT_GE(whole[at], 2);
        if (whole[at + 1] == usb::kDescriptorEndpoint) ++endpoints;
        at += whole[at];
    }
    EXPECT_EQ(at, whole.size());
    EXPECT_EQ(endpoints, whole[9 + 4]);
}

TEST(UsbDevice, DescriptorsOfAllSpeedsAreWellFormed) {
    MemoryDisk disk{1 << 20};
    UsbStorage storage(disk, {.serial = "0123456789AB"});
    for (UsbSpeed speed : {UsbSpeed::kFull, UsbSpeed::kHigh, UsbSpeed::kSuper}) {
        DirectPipes pipes(storage, speed);
        const bool super = speed == UsbSpeed::kSuper;
        const Bytes device = pipes.descriptor(1, 0, 255);
        ASSERT_EQ(device.size(), 18u);
        EXPECT_EQ(device[3], super ? 3 : 2);
        EXPECT_EQ(device[7], super ? 9 : 64);
        check_configuration(pipes.configure());
        EXPECT_EQ(pipes.descriptor(usb::kDescriptorDeviceQualifier, 0, 10).size(),
                  super ? 0u : 10u);
        const Bytes other = pipes.descriptor(usb::kDescriptorOtherSpeed, 0, 255);
        if (super) {
            EXPECT_TRUE(other.empty());
        } else {
            check_configuration(other);
            EXPECT_EQ(endpoints_of(other)[0].packet, speed == UsbSpeed::kFull ? 512 : 64);
        }
        const Bytes bos = pipes.descriptor(usb::kDescriptorBos, 0, 255);
        ASSERT_GE(bos.size(), 5u);
        EXPECT_EQ(bos[2], bos.size());
        EXPECT_THAT(pipes.descriptor(3, 0, 255), ElementsAre(4, 3, 9, 4));
        EXPECT_EQ(usb_string(pipes.descriptor(3, device[16], 255)), "0123456789AB");
        EXPECT_EQ(pipes.control({0x80, 6, 0x0309, 0x409, 255}).status, GuestStatus::kStall);
    }
}

TEST(UsbDevice, StandardRequests) {
    ManualClock clock;
    UsbTablet tablet(clock);
    DirectPipes pipes(tablet, UsbSpeed::kFull);
    // Before it is configured it has no endpoints.
    EXPECT_EQ(pipes.in(0x81, 7).status, GuestStatus::kError);
    EXPECT_EQ(pipes.control({0x82, usb::kGetStatus, 0, 0x81, 2}).status, GuestStatus::kStall);
    EXPECT_TRUE(pipes.control({0, usb::kSetAddress, 17, 0, 0}).ok());
    EXPECT_EQ(tablet.address(), 17);
    EXPECT_EQ(pipes.control({0, usb::kSetAddress, 128, 0, 0}).status, GuestStatus::kStall);
    EXPECT_EQ(pipes.control({0, usb::kSetConfiguration, 2, 0, 0}).status, GuestStatus::kStall);
    pipes.configure();
    EXPECT_THAT(pipes.control({0x80, usb::kGetConfiguration, 0, 0, 1}).data, ElementsAre(1));
    EXPECT_THAT(pipes.control({0x81, usb::kGetInterface, 0, 0, 1}).data, ElementsAre(0));
    EXPECT_TRUE(pipes.control({1, usb::kSetInterface, 0, 0, 0}).ok());
    EXPECT_EQ(pipes.control({1, usb::kSetInterface, 1, 0, 0}).status, GuestStatus::kStall);
    EXPECT_EQ(pipes.in(0x81, 7).status, GuestStatus::kPending);
    EXPECT_EQ(pipes.in(0x82, 7).status, GuestStatus::kError);
    // Halt and remote wake-up.
    EXPECT_TRUE(pipes.control({2, usb::kSetFeature, 0, 0x81, 0}).ok());
    EXPECT_THAT(pipes.control({0x82, usb::kGetStatus, 0, 0x81, 2}).data, ElementsAre(1, 0));
    EXPECT_EQ(pipes.in(0x81, 7).status, GuestStatus::kStall);
    EXPECT_TRUE(pipes.clear_feature_halt(0x81).ok());
    EXPECT_EQ(pipes.in(0x81, 7).status, GuestStatus::kPending);
    EXPECT_TRUE(pipes.control({0, usb::kSetFeature, usb::kFeatureRemoteWakeup, 0, 0}).ok());
    EXPECT_THAT(pipes.control({0x80, usb::kGetStatus, 0, 0, 2}).data, ElementsAre(2, 0));
    EXPECT_EQ(pipes.control({0, usb::kSetFeature, usb::kFeatureU1Enable, 0, 0}).status,
              GuestStatus::kStall);
    EXPECT_EQ(pipes.control({0, usb::kSetFeature, usb::kFeatureTestMode, 0x100, 0}).status,
              GuestStatus::kStall);
    tablet.bus_reset();
    EXPECT_EQ(tablet.address(), 0);
    EXPECT_EQ(pipes.in(0x81, 7).status, GuestStatus::kError);
}

TEST(UsbDevice, ControlTransfersThatGoAstray) {
    ManualClock clock;
    UsbKeyboard keyboard(clock, nullptr);
    DirectPipes pipes(keyboard, UsbSpeed::kFull);
    pipes.configure();
    // Data that nobody asked for, a transfer that is too long, one cut off by the next.
    EXPECT_EQ(pipes.out(0, {1, 2, 3}).status, GuestStatus::kStall);
    EXPECT_EQ(pipes.in(0, 8).status, GuestStatus::kStall);
    EXPECT_EQ(pipes.control({0x21, 9, 0x200, 0, 0xffff}, Bytes(100)).status, GuestStatus::kStall);
    keyboard.setup({0x21, 9, 0x200, 0, 8});
    EXPECT_EQ(pipes.out(0, Bytes(9)).status, GuestStatus::kStall);
    keyboard.setup({0x80, 6, 0x100, 0, 18});
    EXPECT_EQ(pipes.in(0, 8).data.size(), 8u);
    EXPECT_EQ(pipes.descriptor(1, 0, 18).size(), 18u);
    // Longer than the answer.
    EXPECT_EQ(pipes.descriptor(1, 0, 4000).size(), 18u);
    EXPECT_TRUE(pipes.short_packet);
}

TEST(UsbTablet, ReportsPositionsAndButtons) {
    ManualClock clock;
    UsbTablet tablet(clock);
    DirectPipes pipes(tablet, UsbSpeed::kFull);
    const Bytes whole = pipes.configure();
    // The report descriptor is as long as the HID descriptor says.
    const auto length = static_cast<uint16_t>(whole[18 + 7] | whole[18 + 8] << 8);
    const Bytes report = pipes.control({0x81, 6, 0x2200, 0, 255}).data;
    EXPECT_EQ(report.size(), length);
    const auto move = [&](int32_t x, int32_t y) {
        const HidEvent events[] = {{HidEvent::Kind::kAbsolute, ABS_X, x},
                                   {HidEvent::Kind::kAbsolute, ABS_Y, y}};
        tablet.events(events);
    };
    move(1, 2);
    move(3, 4);  // merged: nobody looked in between
    EXPECT_THAT(pipes.woken, ElementsAre(0x81, 0x81));
    EXPECT_THAT(pipes.in(0x81, 7).data, ElementsAre(0, 3, 0, 4, 0, 0, 0));
    EXPECT_EQ(pipes.in(0x81, 7).status, GuestStatus::kPending);
    // A click in between is not merged away.
    const HidEvent down[] = {{HidEvent::Kind::kKey, BTN_LEFT, 1}};
    const HidEvent up[] = {{HidEvent::Kind::kKey, BTN_LEFT, 0}};
    tablet.events(down);
    tablet.events(up);
    move(-5, 1 << 20);
    EXPECT_THAT(pipes.in(0x81, 7).data, ElementsAre(1, 3, 0, 4, 0, 0, 0));
    EXPECT_THAT(pipes.in(0x81, 7).data, ElementsAre(0, 0, 0, 0xff, 0x7f, 0, 0));
    // A wheel that turned far needs several reports.
    const HidEvent wheel[] = {{HidEvent::Kind::kRelative, REL_WHEEL, -200}};
    tablet.events(wheel);
    EXPECT_EQ(pipes.in(0x81, 7).data.at(5), static_cast<uint8_t>(-127));
    EXPECT_EQ(pipes.in(0x81, 7).data.at(5), static_cast<uint8_t>(-73));
    EXPECT_EQ(pipes.in(0x81, 7).status, GuestStatus::kPending);
    // Keys are not the tablet's, and a buffer must hold a report.
    const HidEvent key[] = {{HidEvent::Kind::kKey, KEY_A, 1}};
    tablet.events(key);
    EXPECT_EQ(pipes.in(0x81, 7).status, GuestStatus::kPending);
}

TEST(UsbTablet, AGuestThatDoesNotListenCostsNoMemory) {
    ManualClock clock;
    UsbTablet tablet(clock);
    DirectPipes pipes(tablet, UsbSpeed::kFull);
    pipes.configure();
    for (int i = 0; i < 10'000; ++i) {
        const HidEvent click[] = {{HidEvent::Kind::kKey, BTN_LEFT, i % 2}};
        tablet.events(click);
    }
    unsigned reports = 0;
    Bytes last;
    while (true) {
        const GuestReply reply = pipes.in(0x81, 7);
        if (!reply.ok()) break;
        last = reply.data;
        ++reports;
    }
    EXPECT_LE(reports, 64u);
    EXPECT_EQ(last.at(0), 1);  // what was done last
}

TEST(UsbTablet, IsASinkOfPointerInput) {
    ManualClock clock;
    UsbTablet tablet(clock);
    PointerSink& sink = tablet;
    sink.move_to(1000, 2000);
    EXPECT_FALSE(sink.listens());
    DirectPipes pipes(tablet, UsbSpeed::kFull);
    pipes.configure();
    EXPECT_TRUE(sink.listens());
    EXPECT_TRUE(sink.absolute());
    EXPECT_EQ(pipes.in(0x81, 7).status, GuestStatus::kPending);  // what was before is not told
    sink.move_by(5, 5);                                          // not for a tablet
    EXPECT_EQ(pipes.in(0x81, 7).status, GuestStatus::kPending);
    sink.button(PointerButton::kMiddle, true);
    EXPECT_THAT(pipes.in(0x81, 7).data, ElementsAre(4, 0xf4, 1, 0xe8, 3, 0, 0));
    sink.move_to(65535, 0);
    sink.wheel(-1, 2);
    EXPECT_THAT(pipes.in(0x81, 7).data, ElementsAre(4, 0xff, 0x7f, 0, 0, 0xff, 2));
}

TEST(UsbMouse, BothProtocols) {
    ManualClock clock;
    UsbMouse mouse(clock);
    DirectPipes pipes(mouse, UsbSpeed::kFull);
    pipes.configure();
    const HidEvent move[] = {{HidEvent::Kind::kRelative, REL_X, 300},
                             {HidEvent::Kind::kRelative, REL_Y, -1},
                             {HidEvent::Kind::kRelative, REL_WHEEL, 1}};
    mouse.events(move);
    EXPECT_THAT(pipes.in(0x81, 5).data, ElementsAre(0, 127, 0xff, 1, 0));
    EXPECT_THAT(pipes.in(0x81, 5).data, ElementsAre(0, 127, 0, 0, 0));
    EXPECT_THAT(pipes.in(0x81, 5).data, ElementsAre(0, 46, 0, 0, 0));
    EXPECT_TRUE(pipes.control({0x21, usb::hid::kSetProtocol, 0, 0, 0}).ok());
    EXPECT_TRUE(mouse.boot_protocol());
    EXPECT_THAT(pipes.control({0xa1, usb::hid::kGetProtocol, 0, 0, 1}).data, ElementsAre(0));
    const HidEvent side[] = {{HidEvent::Kind::kKey, BTN_SIDE, 1},
                             {HidEvent::Kind::kKey, BTN_MIDDLE, 1}};
    mouse.events(side);
    EXPECT_THAT(pipes.in(0x81, 8).data, ElementsAre(4, 0, 0));
    mouse.bus_reset();
    EXPECT_FALSE(mouse.boot_protocol());
}

struct Lights final : KeyboardLights {
    void lights(uint8_t bits) override { seen.push_back(bits); }
    std::vector<uint8_t> seen;
};

TEST(UsbKeyboard, KeysModifiersAndLights) {
    ManualClock clock;
    Lights lights;
    UsbKeyboard keyboard(clock, &lights);
    DirectPipes pipes(keyboard, UsbSpeed::kFull);
    pipes.configure();
    const auto key = [&](uint16_t code, int32_t value) {
        const HidEvent events[] = {{HidEvent::Kind::kKey, code, value}};
        keyboard.events(events);
    };
    key(KEY_LEFTSHIFT, 1);
    key(KEY_A, 1);
    key(KEY_A, 0);
    key(KEY_LEFTSHIFT, 0);
    EXPECT_THAT(pipes.in(0x81, 8).data, ElementsAre(2, 0, 0, 0, 0, 0, 0, 0));
    EXPECT_THAT(pipes.in(0x81, 8).data, ElementsAre(2, 0, 4, 0, 0, 0, 0, 0));
    EXPECT_THAT(pipes.in(0x81, 8).data, ElementsAre(2, 0, 0, 0, 0, 0, 0, 0));
    EXPECT_THAT(pipes.in(0x81, 8).data, ElementsAre(0, 0, 0, 0, 0, 0, 0, 0));
    EXPECT_EQ(pipes.in(0x81, 8).status, GuestStatus::kPending);
    // Seven keys are too many for a report.
    for (uint16_t code : {KEY_1, KEY_2, KEY_3, KEY_4, KEY_5, KEY_6, KEY_7}) key(code, 1);
    for (int i = 0; i < 6; ++i) pipes.in(0x81, 8);
    EXPECT_THAT(pipes.in(0x81, 8).data, ElementsAre(0, 0, 1, 1, 1, 1, 1, 1));
    key(KEY_3, 0);
    EXPECT_THAT(pipes.in(0x81, 8).data, ElementsAre(0, 0, 0x1e, 0x1f, 0x21, 0x22, 0x23, 0x24));
    // Get_Report tells the same without an event.
    EXPECT_EQ(pipes.control({0xa1, usb::hid::kGetReport, 0x100, 0, 8}).data.size(), 8u);
    EXPECT_TRUE(pipes.control({0x21, usb::hid::kSetReport, 0x200, 0, 1}, {0xff}).ok());
    pipes.let_work();
    EXPECT_THAT(lights.seen, ElementsAre(0x1f));
    EXPECT_EQ(pipes.control({0x21, usb::hid::kSetReport, 0x300, 0, 1}, {1}).status,
              GuestStatus::kStall);
    EXPECT_EQ(pipes.in(0x81, 8).status, GuestStatus::kPending);
    key(KEY_4, 1);  // it is down already
    key(KEY_RESERVED, 1);
    key(0x2ff, 1);
    EXPECT_EQ(pipes.in(0x81, 8).status, GuestStatus::kPending);
}

TEST(UsbKeyboard, HeldKeysAreRightAfterAFloodNobodyRead) {
    ManualClock clock;
    UsbKeyboard keyboard(clock, nullptr);
    DirectPipes pipes(keyboard, UsbSpeed::kFull);
    pipes.configure();
    const auto key = [&](uint16_t code, int32_t value) {
        const HidEvent events[] = {{HidEvent::Kind::kKey, code, value}};
        keyboard.events(events);
    };
    key(KEY_X, 1);
    for (int i = 0; i < 10000; ++i) {
        key(KEY_B, 1);
        key(KEY_B, 0);
    }
    Bytes last;
    unsigned reports = 0;
    for (GuestReply reply = pipes.in(0x81, 8); reply.ok(); reply = pipes.in(0x81, 8)) {
        last = reply.data;
        ++reports;
    }
    EXPECT_LE(reports, 4096u);
    EXPECT_THAT(last, ElementsAre(0, 0, 0x1b, 0, 0, 0, 0, 0));
}

TEST(UsbKeyboard, TheIdleRateRepeatsReports) {
    ManualClock clock;
    UsbKeyboard keyboard(clock, nullptr);
    DirectPipes pipes(keyboard, UsbSpeed::kFull);
    pipes.configure();
    EXPECT_TRUE(pipes.control({0x21, usb::hid::kSetIdle, 0x0400, 0, 0}).ok());  // 16 ms
    EXPECT_THAT(pipes.control({0xa1, usb::hid::kGetIdle, 0, 0, 1}).data, ElementsAre(4));
    EXPECT_EQ(pipes.in(0x81, 8).status, GuestStatus::kPending);
    clock.advance(15'000'000);
    EXPECT_TRUE(pipes.woken.empty());
    EXPECT_EQ(pipes.in(0x81, 8).status, GuestStatus::kPending);
    clock.advance(1'000'000);
    EXPECT_FALSE(pipes.woken.empty());
    EXPECT_TRUE(pipes.in(0x81, 8).ok());
    EXPECT_EQ(pipes.in(0x81, 8).status, GuestStatus::kPending);
    EXPECT_TRUE(pipes.control({0x21, usb::hid::kSetIdle, 0, 0, 0}).ok());
    clock.advance(1'000'000'000);
    EXPECT_EQ(pipes.in(0x81, 8).status, GuestStatus::kPending);
}

}  // namespace
}  // namespace mynah::testing
