#include "device/interrupt/io_apic.h"

#include <utility>

#include "base/check.h"

namespace mynah {
namespace {

constexpr uint64_t kHoldNs = 500'000;

}  // namespace

class IoApic::Pin final : public InterruptLine {
 public:
    Pin(IoApic& owner, unsigned number) : owner_(owner), number_(number) {}
    void set(bool level) override { owner_.set_pin(number_, level); }

 private:
    IoApic& owner_;
    unsigned number_;
};

IoApic::IoApic(ApicBus& bus, VmClock& clock)
    : bus_(bus), clock_(clock), hold_(clock.create_timer([this] { release_held(); })) {
    chip_.reset();
    for (unsigned i = 0; i < pins_.size(); ++i) pins_[i] = std::make_unique<Pin>(*this, i);
    bus_.attach(*this);
}

IoApic::~IoApic() { hold_.reset(); }

InterruptLine& IoApic::pin(unsigned number) {
    CHECK(number < pins_.size());
    return *pins_[number];
}

void IoApic::reset() {
    MutexLock lock(mutex_);
    chip_.reset();
}

void IoApic::send(const IoApic82093::Messages& messages) {
    for (const ApicMessage& message : messages) {
        if (bus_.deliver(message) || !message.level_triggered) continue;
        MutexLock lock(mutex_);
        chip_.refused(message.vector);
    }
}

void IoApic::set_pin(unsigned number, bool level) {
    IoApic82093::Messages messages;
    {
        MutexLock lock(mutex_);
        chip_.set_pin(number, level, messages);
    }
    send(messages);
}

void IoApic::end_of_interrupt(uint8_t vector) {
    IoApic82093::Messages messages;
    {
        MutexLock lock(mutex_);
        chip_.end_of_interrupt(vector, messages);
        time_hold();
    }
    send(messages);
}

// Where the end of an interrupt is seen by an engine, it must know of it before it begins. What is
// masked for a moment stays known.
void IoApic::follow_routes(bool all) {
    if (!bus_.has_engine()) return;
    MutexLock routes(routes_mutex_);
    if (all) told_.fill(std::nullopt);
    for (unsigned pin = 0; pin < IoApic82093::kPins; ++pin) {
        std::optional<ApicMessage> message;
        {
            MutexLock lock(mutex_);
            message = chip_.level_message(pin);
        }
        if (!message) continue;
        const MsiMessage msi = to_msi(*message);
        if (told_[pin] && told_[pin]->address == msi.address && told_[pin]->data == msi.data) continue;
        told_[pin] = msi;
        bus_.set_route(pin, *message);
    }
}

void IoApic::time_hold() {
    if (!chip_.holds() || std::exchange(hold_armed_, true)) return;
    hold_->arm(clock_.now_ns() + kHoldNs);
}

void IoApic::release_held() {
    IoApic82093::Messages messages;
    {
        MutexLock lock(mutex_);
        hold_armed_ = false;
        chip_.release(messages);
    }
    send(messages);
}

// Registers are 32 bits wide and read as such; narrower reads give their part.
uint64_t IoApic::read(uint64_t offset, unsigned) {
    MutexLock lock(mutex_);
    const uint32_t value = chip_.read(static_cast<uint32_t>(offset & ~uint64_t{3}));
    return value >> (8 * (offset & 3));
}

// A write takes effect as 32 bits; one that is not aligned goes nowhere.
void IoApic::write(uint64_t offset, unsigned, uint64_t value) {
    if ((offset & 3) != 0) return;
    IoApic82093::Messages messages;
    {
        MutexLock lock(mutex_);
        chip_.write(static_cast<uint32_t>(offset), static_cast<uint32_t>(value), messages);
        time_hold();
    }
    follow_routes(false);
    send(messages);
}

}  // namespace mynah
