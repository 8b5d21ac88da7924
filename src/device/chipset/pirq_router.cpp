#include "device/chipset/pirq_router.h"

#include "base/check.h"

namespace mynah {

struct PirqRouter::Input final : public InterruptLine {
    Input(PirqRouter& to, unsigned from_device, unsigned from_pin)
        : router(to), device(from_device), pin(from_pin) {}
    void set(bool value) override { router.set_input(*this, value); }

    PirqRouter& router;
    const unsigned device, pin;
    bool level = false;  // router.mutex_ guards it
};

PirqRouter::PirqRouter(InterruptRouter& router) {
    for (unsigned i = 0; i < gsi_.size(); ++i) {
        gsi_[i] = std::make_unique<LineDriver>(router.add_gsi_wire(Gsi(ich9::pirq::kFirstGsi + i)));
    }
    for (unsigned irq = 0; irq < kIrqs; ++irq) {
        if ((ich9::pirq::kRoutable >> irq & 1) != 0)
            pic_[irq] = std::make_unique<LineDriver>(router.pic_input(irq));
    }
    MutexLock lock(mutex_);
    pic_routes_.fill(ich9::pirq::kNotRouted);
    device_routes_.fill(ich9::root_complex::kRouteReset);
}

PirqRouter::~PirqRouter() = default;

InterruptLine& PirqRouter::input(PciSlot slot, unsigned pin) {
    CHECK(slot.device < kDevices && pin >= 1 && pin <= 4);
    inputs_.push_back(std::make_unique<Input>(*this, slot.device, pin));
    return *inputs_.back();
}

unsigned PirqRouter::usual_pirq(unsigned device, unsigned pin) {
    constexpr unsigned kPirqE = 4;
    if (device < ich9::root_complex::kFirstRoutedDevice) return kPirqE + (device + pin - 1) % 4;
    return ich9::root_complex::kRouteReset >> (4 * (pin - 1)) & 7;
}

unsigned PirqRouter::pirq_of(const Input& input) const {
    if (input.device < ich9::root_complex::kFirstRoutedDevice)
        return usual_pirq(input.device, input.pin);
    return device_routes_[input.device] >> (4 * (input.pin - 1)) & 7;
}

void PirqRouter::update() {
    std::array<bool, ich9::pirq::kCount> pirqs{};
    for (const auto& input : inputs_)
        if (input->level) pirqs[pirq_of(*input)] = true;
    std::array<bool, kIrqs> irqs{};
    for (unsigned i = 0; i < pirqs.size(); ++i) {
        gsi_[i]->want(pirqs[i]);
        if (pirqs[i] && (pic_routes_[i] & ich9::pirq::kNotRouted) == 0)
            irqs[pic_routes_[i] & ich9::pirq::kIrq] = true;
    }
    for (unsigned irq = 0; irq < kIrqs; ++irq)
        if (pic_[irq] != nullptr) pic_[irq]->want(irqs[irq]);
}

void PirqRouter::flush() {
    for (const auto& line : gsi_) line->flush();
    for (const auto& line : pic_)
        if (line != nullptr) line->flush();
}

void PirqRouter::set_input(Input& input, bool level) {
    {
        MutexLock lock(mutex_);
        if (input.level == level) return;
        input.level = level;
        update();
    }
    flush();
}

void PirqRouter::set_pic_route(unsigned pirq, uint8_t value) {
    {
        MutexLock lock(mutex_);
        pic_routes_[pirq] = value;
        update();
    }
    flush();
}

void PirqRouter::set_device_route(unsigned device, uint16_t value) {
    CHECK(device >= ich9::root_complex::kFirstRoutedDevice && device < kDevices);
    {
        MutexLock lock(mutex_);
        device_routes_[device] = value;
        update();
    }
    flush();
}

uint16_t PirqRouter::device_route(unsigned device) {
    MutexLock lock(mutex_);
    return device_routes_[device];
}

void PirqRouter::reset() {
    {
        MutexLock lock(mutex_);
        pic_routes_.fill(ich9::pirq::kNotRouted);
        device_routes_.fill(ich9::root_complex::kRouteReset);
        update();
    }
    flush();
}

}  // namespace mynah
