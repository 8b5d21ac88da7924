#include "paravirt/virtio/input/virtio_input.h"

#include <linux/input-event-codes.h>

#include <algorithm>
#include <cstring>

#include "paravirt/virtio/config_bytes.h"
#include "spec/virtio/device.h"

namespace mynah {

using namespace virtio::input;

namespace {

constexpr uint16_t kBusVirtual = 0x06;  // BUS_VIRTUAL
constexpr uint16_t kVendor = 0x1209;    // as the other input devices of this machine

}  // namespace

uint32_t VirtioInput::device_id() const { return virtio::kDeviceInput; }

void VirtioInput::has(uint16_t type, uint16_t code) { codes_.at(type).set(code); }

void VirtioInput::has_axis(uint16_t code, const AbsoluteInfo& info) {
    has(EV_ABS, code);
    axes_.at(code) = info;
}

// What the driver selected is worked out when it is read.
void VirtioInput::fill_data(Config& config) const {
    const auto put = [&config](const void* from, size_t size) {
        config.size = static_cast<uint8_t>(std::min(size, sizeof config.data));
        std::memcpy(config.data, from, config.size);
    };
    if (config.select == kIdName && config.subselect == 0) {
        put(name_.data(), name_.size());
    } else if (config.select == kIdDevice && config.subselect == 0) {
        const DeviceId id{kBusVirtual, kVendor, product_, 1};
        put(&id, sizeof id);
    } else if (config.select == kEventBits && config.subselect < kTypes) {
        const auto& codes = codes_[config.subselect];
        for (size_t code = 0; code < kCodes; ++code) {
            if (!codes[code]) continue;
            config.data[code / 8] = static_cast<uint8_t>(config.data[code / 8] | 1u << code % 8);
            config.size = static_cast<uint8_t>(code / 8 + 1);
        }
    } else if (config.select == kAbsoluteInfo && config.subselect < kAxes &&
               codes_[EV_ABS][config.subselect]) {
        put(&axes_[config.subselect], sizeof(AbsoluteInfo));
    }
}

void VirtioInput::read_config(uint64_t offset, std::span<std::byte> to) const {
    static_assert(kCodes / 8 <= sizeof Config::data);
    Config config{};
    {
        MutexLock lock(mutex_);
        config.select = select_;
        config.subselect = subselect_;
    }
    fill_data(config);
    read_config_bytes(config, offset, to);
}

void VirtioInput::write_config(uint64_t offset, std::span<const std::byte> from) {
    MutexLock lock(mutex_);
    for (size_t i = 0; i < from.size(); ++i) {
        if (offset + i == offsetof(Config, select)) select_ = static_cast<uint8_t>(from[i]);
        if (offset + i == offsetof(Config, subselect)) subselect_ = static_cast<uint8_t>(from[i]);
    }
}

void VirtioInput::serve(VirtioQueue& queue) {
    if (queue.index() == kEventQueue) {
        MutexLock lock(mutex_);
        queue_ = &queue;
        has_driver_ = true;
        deliver();
        return;
    }
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    while (queue.take(batch, chain)) queue.give_back(chain.head, 0);
}

void VirtioInput::reset() {
    MutexLock lock(mutex_);
    has_driver_ = false;
    queue_ = nullptr;
    waiting_.clear();
    select_ = subselect_ = 0;
}

void VirtioInput::send(std::initializer_list<Event> events) {
    MutexLock lock(mutex_);
    if (queue_ == nullptr || waiting_.size() + events.size() + 1 > kMaxWaiting) return;
    waiting_.insert(waiting_.end(), events);
    waiting_.push_back({EV_SYN, SYN_REPORT, 0});
    deliver();
}

void VirtioInput::deliver() {
    if (queue_ == nullptr || waiting_.empty()) return;
    VirtioQueue::Batch batch = queue_->open_batch();
    DescriptorChain chain;
    while (!waiting_.empty() && queue_->take(batch, chain)) {
        const Event event = waiting_.front();
        const bool fits = chain.writable.size() >= sizeof event;
        if (fits) {
            chain.writable.fill(std::as_bytes(std::span(&event, 1)));
            queue_->wrote(chain.writable);
            waiting_.pop_front();
        }
        queue_->give_back(chain.head, fits ? sizeof event : 0);
    }
}

// --- Keyboard.

VirtioKeyboard::VirtioKeyboard() : VirtioInput("Mynah Virtio Keyboard", 0x0011) {
    for (uint16_t code = KEY_ESC; code <= KEY_MICMUTE; ++code) has(EV_KEY, code);
    has(EV_REP, REP_DELAY);  // the guest repeats
    for (const uint16_t light : {LED_NUML, LED_CAPSL, LED_SCROLLL}) has(EV_LED, light);
}

void VirtioKeyboard::key(uint16_t code, bool pressed) {
    if (code > KEY_MICMUTE) return;
    send({{EV_KEY, code, pressed ? 1u : 0u}});
}

// --- Pointers.

VirtioPointer::VirtioPointer(Kind kind)
    : VirtioInput(kind == Kind::kMouse ? "Mynah Virtio Mouse" : "Mynah Virtio Tablet",
                  kind == Kind::kMouse ? 0x0012 : 0x0013),
      kind_(kind) {
    for (uint16_t code = BTN_LEFT; code <= BTN_EXTRA; ++code) has(EV_KEY, code);
    has(EV_REL, REL_WHEEL);
    has(EV_REL, REL_HWHEEL);
    if (kind == Kind::kMouse) {
        has(EV_REL, REL_X);
        has(EV_REL, REL_Y);
    } else {
        has_axis(ABS_X, {0, 0xffff, 0, 0, 0});
        has_axis(ABS_Y, {0, 0xffff, 0, 0, 0});
    }
}

void VirtioPointer::move_to(uint16_t x, uint16_t y) {
    if (kind_ != Kind::kTablet) return;
    send({{EV_ABS, ABS_X, x}, {EV_ABS, ABS_Y, y}});
}

void VirtioPointer::move_by(int dx, int dy) {
    if (kind_ != Kind::kMouse) return;
    send({{EV_REL, REL_X, static_cast<uint32_t>(dx)}, {EV_REL, REL_Y, static_cast<uint32_t>(dy)}});
}

void VirtioPointer::button(PointerButton button, bool pressed) {
    constexpr std::array<uint16_t, kPointerButtons> kButtonCodes{BTN_LEFT, BTN_MIDDLE, BTN_RIGHT,
                                                                 BTN_SIDE, BTN_EXTRA};
    send({{EV_KEY, kButtonCodes.at(static_cast<size_t>(button)), pressed ? 1u : 0u}});
}

void VirtioPointer::wheel(int vertical, int horizontal) {
    if (vertical != 0) send({{EV_REL, REL_WHEEL, static_cast<uint32_t>(vertical)}});
    if (horizontal != 0) send({{EV_REL, REL_HWHEEL, static_cast<uint32_t>(horizontal)}});
}

}  // namespace mynah
