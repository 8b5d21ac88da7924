#include "device/usb/usb_keyboard.h"

#include <algorithm>
#include <utility>

#include "spec/usb/hid.h"

namespace mynah {
namespace {

constexpr uint8_t kFirstModifier = 0xe0, kLastModifier = 0xe7;
constexpr uint8_t kRollOver = 0x01;  // in all keys of a report: too many are down
constexpr uint8_t kHighestUsage = 0x94;
constexpr uint8_t kLights = 0x1f;

std::vector<uint8_t> keyboard_reports() {
    // clang-format off
    return {
        0x05, 0x01, 0x09, 0x06, 0xa1, 0x01,              // generic desktop, keyboard, application
        0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7,              // keyboard page: the modifiers
        0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08,  // eight of one bit
        0x81, 0x02,                                      // input: data, variable, absolute
        0x95, 0x01, 0x75, 0x08, 0x81, 0x01,              // a reserved byte
        0x95, 0x05, 0x75, 0x01, 0x05, 0x08,              // LED page:
        0x19, 0x01, 0x29, 0x05, 0x91, 0x02,              // five lights, output
        0x95, 0x01, 0x75, 0x03, 0x91, 0x01,              // padding
        0x95, 0x06, 0x75, 0x08, 0x15, 0x00,              // six keys:
        0x26, kHighestUsage, 0x00, 0x05, 0x07,           // keyboard page
        0x19, 0x00, 0x29, kHighestUsage, 0x81, 0x00,     // input: data, array
        0xc0,
    };
    // clang-format on
}

UsbDescription keyboard_description() {
    UsbDescription keyboard;
    keyboard.vendor = 0x1209;
    keyboard.product = 0x0003;
    keyboard.name = "USB Keyboard";
    keyboard.serial = "1";
    keyboard.interface_subclass = usb::hid::kSubclassBoot;
    keyboard.interface_protocol = usb::hid::kProtocolKeyboard;
    return keyboard;
}

}  // namespace

UsbKeyboard::UsbKeyboard(VmClock& clock, KeyboardLights* lights)
    : HidDevice(clock, keyboard_description(), keyboard_reports(), 8), lights_(lights) {}

void UsbKeyboard::key(uint16_t code, bool pressed) {
    const HidEvent event{HidEvent::Kind::kKey, code, pressed ? 1 : 0};
    events({&event, 1});
}

void UsbKeyboard::events(std::span<const HidEvent> batch) {
    bool changed = false;
    {
        MutexLock lock(mutex_);
        for (const HidEvent& event : batch) {
            if (event.kind != HidEvent::Kind::kKey) continue;
            const uint8_t usage = keyboard_usage(event.code);
            if (usage == 0 || down_[usage] == (event.value != 0)) continue;
            down_[usage] = event.value != 0;
            // What nobody fetches is not told change by change, but what is down stays right.
            if (queue_.size() >= kMostChanges) take_change();
            queue_.push_back({usage, event.value != 0});
            changed = true;
        }
    }
    if (changed) wake();
}

void UsbKeyboard::press(uint8_t usage) {
    if (usage >= kFirstModifier && usage <= kLastModifier) {
        modifiers_ |= static_cast<uint8_t>(1u << (usage - kFirstModifier));
        return;
    }
    if (std::find(pressed_.begin(), pressed_.end(), usage) == pressed_.end()) {
        pressed_.push_back(usage);  // bounded by the number of usages
    }
}

void UsbKeyboard::release(uint8_t usage) {
    if (usage >= kFirstModifier && usage <= kLastModifier) {
        modifiers_ &= static_cast<uint8_t>(~(1u << (usage - kFirstModifier)));
        return;
    }
    std::erase(pressed_, usage);
}

void UsbKeyboard::take_change() {
    const Change change = queue_.front();
    queue_.pop_front();
    if (change.down)
        press(change.usage);
    else
        release(change.usage);
}

std::vector<uint8_t> UsbKeyboard::current_report() const {
    std::vector<uint8_t> report(2 + kKeys);
    report[0] = modifiers_;
    if (pressed_.size() > kKeys) {
        std::fill(report.begin() + 2, report.end(), kRollOver);
    } else {
        std::copy(pressed_.begin(), pressed_.end(), report.begin() + 2);
    }
    return report;
}

// One change a report: no press and release of a key can hide each other.
std::optional<std::vector<uint8_t>> UsbKeyboard::next_report() {
    if (queue_.empty()) return std::nullopt;
    take_change();
    return current_report();
}

// What is held down stays so, as on a real keyboard; what was typed before a reset is lost.
void UsbKeyboard::forget() {
    while (!queue_.empty()) take_change();
    tell_lights_ = lit_ != 0;
    lit_ = 0;
}

void UsbKeyboard::do_output_report(std::span<const uint8_t> data) {
    if (data.empty()) return;
    lit_ = data[0] & kLights;
    tell_lights_ = true;
}

bool UsbKeyboard::has_work() const {
    MutexLock lock(mutex_);
    return tell_lights_;
}

void UsbKeyboard::perform() {
    uint8_t lit;
    {
        MutexLock lock(mutex_);
        if (!std::exchange(tell_lights_, false)) return;
        lit = lit_;
    }
    if (lights_ != nullptr) lights_->lights(lit);
}

}  // namespace mynah
