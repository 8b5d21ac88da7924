#include "paravirt/virtio/input/virtio_input.h"

#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "paravirt/virtio/virtio_mmio.h"
#include "spec/virtio/device.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace virtio::input;
using testing::GuestBuffer;

class VirtioInputTest : public ::testing::Test {
  protected:
    void start(VirtioDevice& device) {
        mmio_ = std::make_unique<VirtioMmio>(device, view_, line_);
        driver_.emplace(*mmio_, *memory_, GuestPhys{0x1000});
        ASSERT_TRUE(driver_->negotiate(virtio::kFeatureVersion1));
        queue_.emplace(driver_->make_queue(0, 64));
        (void)driver_->make_queue(1, 16);
        driver_->driver_ok();
    }
    void TearDown() override { mmio_.reset(); }
    void offer(unsigned count) {
        for (unsigned i = 0; i < count; ++i) {
            const GuestBuffer buffer{driver_->allocator().take(8), 8, true};
            places_[queue_->add({&buffer, 1})] = buffer.address;
        }
        driver_->announce(0, *queue_);
    }
    std::string next() {
        const auto used = queue_->take_used();
        if (!used) return "";
        const auto event = memory_->load<Event>(places_[used->id]).value();
        return std::to_string(event.type) + " " + std::to_string(event.code) + " " +
               std::to_string(static_cast<int32_t>(event.value));
    }
    std::vector<uint8_t> select(uint8_t select, uint8_t subselect) {
        mmio_->write(0x100, 1, select);
        mmio_->write(0x101, 1, subselect);
        std::vector<uint8_t> data(driver_->config<uint8_t>(2));
        for (size_t i = 0; i < data.size(); ++i) data[i] = driver_->config<uint8_t>(8 + i);
        return data;
    }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, 1 << 20};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    VirtioKeyboard keyboard_;
    VirtioPointer mouse_{VirtioPointer::Kind::kMouse}, tablet_{VirtioPointer::Kind::kTablet};
    std::unique_ptr<VirtioMmio> mmio_;
    std::optional<testing::VirtioDriver> driver_;
    std::optional<testing::GuestQueue> queue_;
    std::map<uint32_t, GuestPhys> places_;
};

TEST_F(VirtioInputTest, AKeyboardSaysWhatItIs) {
    start(keyboard_);
    EXPECT_EQ(driver_->read(8), 18u);
    const auto name = select(kIdName, 0);
    EXPECT_EQ(std::string(name.begin(), name.end()), "Mynah Virtio Keyboard");
    EXPECT_EQ(select(kIdDevice, 0).size(), 8u);
    const auto keys = select(kEventBits, EV_KEY);
    ASSERT_GT(keys.size(), size_t{KEY_A / 8});
    EXPECT_TRUE((keys[KEY_A / 8] >> KEY_A % 8 & 1) != 0);
    EXPECT_EQ(select(kEventBits, EV_REL).size(), 0u);
    EXPECT_EQ(select(kEventBits, 0xff).size(), 0u);
    EXPECT_EQ(select(77, 0).size(), 0u);
}

TEST_F(VirtioInputTest, KeysComeInOrderAndWaitForBuffers) {
    EXPECT_FALSE(keyboard_.listens());
    keyboard_.key(KEY_B, true);  // nobody there
    start(keyboard_);
    EXPECT_TRUE(keyboard_.listens());
    keyboard_.key(KEY_A, true);
    keyboard_.key(KEY_A, false);
    offer(3);
    EXPECT_EQ(next(), "1 30 1");
    EXPECT_EQ(next(), "0 0 0");
    EXPECT_EQ(next(), "1 30 0");
    EXPECT_EQ(next(), "");
    offer(1);
    EXPECT_EQ(next(), "0 0 0");
}

TEST_F(VirtioInputTest, WhatAGuestDoesNotFetchIsLostInWholeGroups) {
    start(keyboard_);
    for (int i = 0; i < 1000; ++i) keyboard_.key(KEY_A, i % 2 == 0);
    int events = 0;
    std::string last;
    for (int i = 0; i < 20; ++i) {
        offer(20);
        for (std::string event = next(); !event.empty(); event = next()) {
            ++events;
            last = event;
        }
    }
    EXPECT_EQ(events, static_cast<int>(VirtioInput::kMaxWaiting));
    EXPECT_EQ(last, "0 0 0");
}

TEST_F(VirtioInputTest, ATabletKnowsPlaces) {
    start(tablet_);
    EXPECT_EQ(select(kAbsoluteInfo, ABS_X).size(), sizeof(AbsoluteInfo));
    offer(10);
    tablet_.move_by(1, 1);
    tablet_.move_to(100, 65535);
    EXPECT_EQ(next(), "3 0 100");
    EXPECT_EQ(next(), "3 1 65535");
    EXPECT_EQ(next(), "0 0 0");
    tablet_.button(PointerButton::kRight, true);
    EXPECT_EQ(next(), "1 273 1");
}

TEST_F(VirtioInputTest, AMouseKnowsMovements) {
    start(mouse_);
    EXPECT_EQ(select(kAbsoluteInfo, ABS_X).size(), 0u);
    offer(10);
    mouse_.move_to(5, 5);
    mouse_.move_by(-3, 4);
    EXPECT_EQ(next(), "2 0 -3");
    EXPECT_EQ(next(), "2 1 4");
    EXPECT_EQ(next(), "0 0 0");
    mouse_.wheel(-1, 0);
    EXPECT_EQ(next(), "2 8 -1");
}

}  // namespace
}  // namespace mynah
