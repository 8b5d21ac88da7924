#pragma once

// What is plugged into a host controller that is fuzzed, and what happens to it.

#include <linux/input-event-codes.h>

#include <array>

#include "base/log.h"
#include "device/usb/usb_board_test.h"
#include "device/usb/usb_keyboard.h"
#include "device/usb/usb_pointer.h"
#include "device/usb/usb_storage.h"
#include "testing/byte_feed.h"
#include "testing/memory_disk.h"

namespace mynah {

// A megabyte of memory, a clock, three devices and an adapter that they go into and out of.
class UsbFuzzBoard {
  public:
    static constexpr uint64_t kRam = 0x100000;

    // The outside world: time, people, plugs, a disk that is slow or fails.
    void outside(testing::ByteFeed& feed) {
        const uint8_t choice = feed.take<uint8_t>();
        UsbDevice& device = *devices_[choice / 8 % devices_.size()];
        switch (choice % 8) {
            case 0:
                board.clock.advance(uint64_t{feed.take<uint8_t>()} * 100'000);
                break;
            case 1:
                board.clock.jump(uint64_t{feed.take<uint16_t>()} * 10'000);
                break;
            case 2: {
                const HidEvent events[] = {
                    {HidEvent::Kind(feed.take<uint8_t>() % 3), feed.take<uint16_t>(),
                     feed.take<int32_t>()},
                    {HidEvent::Kind::kKey, uint16_t(KEY_ESC + feed.take<uint8_t>() % 8),
                     choice & 1},
                    {HidEvent::Kind::kAbsolute, ABS_X, feed.take<uint16_t>()}};
                tablet.events(events);
                keyboard.events(events);
                break;
            }
            case 3:
                adapter.unplug(device);
                break;
            case 4:
                adapter.unplug(device);
                (void)adapter.plug(device, feed.take<uint8_t>() % 10).ok();
                break;
            case 5:
                disk.hold((choice & 8) != 0);
                break;
            case 6:
                disk.release_one();
                break;
            default:
                board.interrupts.messages_on = (choice & 8) != 0;
                board.interrupts.sent.clear();
                adapter.update();
                break;
        }
    }
    void plug_all() {
        for (UsbDevice* device : devices_) CHECK(adapter.plug(*device).ok());
    }
    // Before the controller goes.
    void unplug_all() {
        disk.release_all();
        for (UsbDevice* device : devices_) adapter.unplug(*device);
    }
    template <typename T>
    void store(uint64_t at, const T& value) {
        (void)board.memory->store(GuestPhys(at % (kRam - sizeof(T))), value);
    }

    testing::UsbBoard board{kRam};
    testing::MemoryDisk disk{0x10000};
    UsbStorage storage{disk, {}};
    UsbTablet tablet{board.clock};
    UsbKeyboard keyboard{board.clock, nullptr};
    UsbHostAdapter adapter{board.clock};

  private:
    std::array<UsbDevice*, 3> devices_{&storage, &tablet, &keyboard};
};

// A setup packet that a device may understand.
inline usb::Setup fuzz_setup(testing::ByteFeed& feed) {
    static constexpr std::array<usb::Setup, 12> kKnown{{
        {0x00, usb::kSetConfiguration, 1, 0, 0},
        {0x00, usb::kSetAddress, 1, 0, 0},
        {0x80, usb::kGetDescriptor, 0x0100, 0, 18},
        {0x80, usb::kGetDescriptor, 0x0200, 0, 255},
        {0x81, usb::kGetDescriptor, 0x2200, 0, 255},
        {0x02, usb::kClearFeature, 0, 0x81, 0},
        {0x02, usb::kClearFeature, 0, 0x02, 0},
        {0x02, usb::kSetFeature, 0, 0x81, 0},
        {0x21, 9, 0x0200, 0, 1},
        {0x21, 10, 0x0100, 0, 0},
        {0x21, 0xff, 0, 0, 0},
        {0x00, usb::kSetFeature, usb::kFeatureRemoteWakeup, 0, 0},
    }};
    const uint8_t choice = feed.take<uint8_t>();
    if (choice >= 200) return feed.take<usb::Setup>();
    return kKnown[choice % kKnown.size()];
}

// A command wrapper that a disk may understand.
inline usb::storage::CommandWrapper fuzz_command(testing::ByteFeed& feed) {
    usb::storage::CommandWrapper wrapper{};
    static constexpr std::array<uint8_t, 16> kOpcodes{0x28, 0x2a, 0x28, 0x2a, 0x12, 0x25,
                                                      0x35, 0x03, 0x88, 0x8a, 0x1a, 0x5a,
                                                      0x15, 0x55, 0x9e, 0xa8};
    const uint8_t choice = feed.take<uint8_t>();
    wrapper.signature = usb::storage::kCommandSignature;
    wrapper.tag = choice;
    wrapper.length = feed.take<uint8_t>() * 128u;
    wrapper.flags = choice & 0x80;
    wrapper.command_length = 16;
    for (uint8_t& byte : wrapper.command) byte = feed.take<uint8_t>() & 3;
    wrapper.command[0] = kOpcodes[choice % kOpcodes.size()];
    if (choice == 0x7f) wrapper.signature = 0;
    return wrapper;
}

}  // namespace mynah
