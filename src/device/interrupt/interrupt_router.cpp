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
            pic_inputs_[gsi] = std::make_unique<PicInput>(pics.input(gsi));
            pic = &pic_inputs_[gsi]->isa;
        }
        if (gsi >= 16) shared_[gsi] = std::make_unique<SharedLine>(io_apic.pin(gsi));
        InterruptLine& pin = gsi >= 16 ? shared_[gsi]->add_input() : io_apic.pin(gsi);
        wires_[gsi] = std::make_unique<Wire>(pic, pin);
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

InterruptLine& InterruptRouter::add_gsi_wire(Gsi gsi) {
    CHECK(gsi.value < shared_.size() && shared_[gsi.value] != nullptr);
    return shared_[gsi.value]->add_input();
}

InterruptLine& InterruptRouter::pic_input(unsigned irq) {
    CHECK(irq < pic_inputs_.size() && pic_inputs_[irq] != nullptr);
    return pic_inputs_[irq]->other;
}

}  // namespace mynah
