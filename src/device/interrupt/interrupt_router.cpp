#include "device/interrupt/interrupt_router.h"

#include "base/check.h"
#include "device/interrupt/pic8259_registers.h"

namespace mynah {

class InterruptRouter::Wire final : public InterruptLine {
 public:
    Wire(InterruptLine* pic, InterruptLine& io_apic) : pic_(pic), io_apic_(io_apic) {}
    void set(bool level) override {
        if (pic_ != nullptr) pic_->set(level);
        io_apic_.set(level);
    }

 private:
    InterruptLine* pic_;
    InterruptLine& io_apic_;
};

InterruptRouter::InterruptRouter(PicPair& pics, IoApic& io_apic) {
    for (uint32_t gsi = 1; gsi < wires_.size(); ++gsi) {
        InterruptLine* pic = nullptr;
        if (gsi == kTimerGsi) {
            pic = &pics.input(0);
        } else if (gsi < 16) {
            pic = &pics.input(gsi);
        }
        wires_[gsi] = std::make_unique<Wire>(pic, io_apic.pin(gsi));
    }
    // Pin 0 takes the 8259s' output on some boards; nothing is connected to it here.
    static_assert(kTimerGsi == pic::kCascadeInput);
}

InterruptRouter::~InterruptRouter() = default;

InterruptLine& InterruptRouter::isa(unsigned irq) { return gsi(Gsi{irq == 0 ? kTimerGsi : irq}); }

InterruptLine& InterruptRouter::gsi(Gsi gsi) {
    CHECK(gsi.value < wires_.size() && wires_[gsi.value] != nullptr);
    return *wires_[gsi.value];
}

}  // namespace mynah
