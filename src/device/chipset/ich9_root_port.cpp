#include "device/chipset/ich9_root_port.h"

#include "base/check.h"

namespace mynah {
namespace {

namespace express = pci::express;
namespace slot = pci::express::slot;

constexpr uint32_t kLinkActive = 1u << 13;  // in the link status; the capability is bit 20
constexpr uint32_t kLinkActiveReporting = 1u << 20;
constexpr uint32_t kPortNumberShift = 24;

PciIdentity identity(unsigned number) {
    return {.vendor = ich9::kVendor,
            .device = static_cast<uint16_t>(ich9::kFirstRootPortDevice + 2 * number),
            .class_code = ich9::kRootPortClass,
            .revision = ich9::kRevision,
            .interrupt_pin = static_cast<uint8_t>(Ich9RootPort::pin(number)),
            .bridge = true};
}

}  // namespace

Ich9RootPort::Ich9RootPort(const PciAttachment& attachment, unsigned number)
    : function_(attachment, identity(number)),
      express_(function_.add_express(PciFunction::Express::kRootPort)) {
    function_.add_msi(1);
    function_.set_config(
        express_ + express::kLinkCapabilities, 4,
        express::kLinkSpeed1Width1 | kLinkActiveReporting | (number + 1) << kPortNumberShift);
    function_.set_config(express_ + express::kSlotCapabilities, 4,
                         slot::kButton | slot::kPowerController | slot::kAttentionLamp |
                             slot::kPowerLamp | slot::kHotPlug |
                             (number + 1) << slot::kNumberShift);
    function_.set_config(express_ + express::kSlotControl, 2,
                         slot::kAttentionLampOff | slot::kPowerLampOff | slot::kPowerOff,
                         slot::kControlWritable);
    function_.set_config(express_ + express::kSlotStatus, 2, 0);
    function_.set_config_clearable(express_ + express::kSlotStatus, 2, slot::kEvents);
    function_.set_config(express_ + express::kLinkStatus, 2, express::kLinkSpeed1Width1);
    function_.set_config(express_ + express::kRootControl, 2, 0, 0x001f);
    function_.set_config_clearable(express_ + express::kRootStatus, 4, 1u << 16);
    function_.on_config_write(
        [this](unsigned offset, unsigned size) { config_written(offset, size); });
}

void Ich9RootPort::set_events(uint32_t events) {
    function_.change_config(express_ + express::kSlotStatus, 2, 0, events);
}

void Ich9RootPort::switch_power(bool on) {
    if (powered_ == on) return;
    powered_ = on;
    if (card_ == nullptr) return;
    if (on)
        secondary_.insert(0, *card_);
    else
        secondary_.remove(0);
    function_.change_config(express_ + express::kLinkStatus, 2, on ? 0 : kLinkActive,
                            on ? kLinkActive : 0);
    set_events(slot::kLinkChanged);
}

void Ich9RootPort::insert(PciFunction& card) {
    {
        MutexLock lock(mutex_);
        CHECK(card_ == nullptr);
        const bool powered = powered_;
        switch_power(false);
        card_ = &card;
        switch_power(powered);
        // Whoever puts a card in presses the button, too: where there is one, Linux listens to
        // nothing else while the slot has no power.
        set_events(slot::kPresence | slot::kPresenceChanged | slot::kButtonPressed);
    }
    update_interrupt();
}

void Ich9RootPort::press_attention_button() {
    {
        MutexLock lock(mutex_);
        set_events(slot::kButtonPressed);
    }
    update_interrupt();
}

void Ich9RootPort::remove() {
    {
        MutexLock lock(mutex_);
        CHECK(card_ != nullptr);
        const bool powered = powered_;
        switch_power(false);
        card_ = nullptr;
        powered_ = powered;
        function_.change_config(express_ + express::kSlotStatus, 2, slot::kPresence,
                                slot::kPresenceChanged);
    }
    update_interrupt();
}

bool Ich9RootPort::powered() const {
    MutexLock lock(mutex_);
    return powered_;
}

void Ich9RootPort::reset() {
    function_.reset();
    MutexLock lock(mutex_);
    switch_power(false);
    interrupting_ = false;
    function_.change_config(express_ + express::kLinkStatus, 2, kLinkActive, 0);
    if (card_ == nullptr) return;
    function_.change_config(express_ + express::kSlotControl, 2,
                            slot::kPowerOff | slot::kPowerLampOff, slot::kPowerLampOn);
    switch_power(true);
    function_.change_config(express_ + express::kSlotStatus, 2, slot::kEvents, slot::kPresence);
}

void Ich9RootPort::config_written(unsigned offset, unsigned size) {
    const unsigned control = express_ + express::kSlotControl;
    const unsigned status = express_ + express::kSlotStatus;
    const auto touches = [&](unsigned at) { return offset < at + 2 && at < offset + size; };
    if (!touches(control) && !touches(status)) return;
    bool off = false;
    {
        MutexLock lock(mutex_);
        if (touches(control)) {
            const bool on = (function_.peek_config(control, 2) & slot::kPowerOff) == 0;
            off = powered_ && !on;
            switch_power(on);
            // Every write to the control register is a command, and carried out at once
            // [PCIe 3.0 6.7.3.2].
            set_events(slot::kCommandCompleted);
        }
    }
    update_interrupt();
    if (off && power_off_) power_off_();
}

// One interrupt for all events [PCIe 3.0 6.7.3.4]: a level while there are some that the guest
// wants to hear of; a message when the level rises.
void Ich9RootPort::update_interrupt() {
    bool level = false, rose = false;
    {
        MutexLock lock(mutex_);
        const uint32_t control = function_.peek_config(express_ + express::kSlotControl, 2);
        const uint32_t status = function_.peek_config(express_ + express::kSlotStatus, 2);
        uint32_t wanted = control & slot::kSameEnables;
        if ((control & slot::kLinkEnable) != 0) wanted |= slot::kLinkChanged;
        level = (control & slot::kInterruptEnable) != 0 && (status & wanted) != 0;
        rose = level && !interrupting_;
        interrupting_ = level;
    }
    function_.set_intx(level);
    if (rose && function_.msi_enabled()) function_.send_msi(0);
}

}  // namespace mynah
