#include "device/chipset/acpi_power_management.h"

namespace mynah {

AcpiPowerManagement::AcpiPowerManagement(VmClock& clock, InterruptLine& sci, PowerSink& power,
                                         AcpiFixedHardware::TimerWidth width,
                                         uint8_t soft_off_types)
    : clock_(clock),
      power_(power),
      sci_(sci),
      chip_(width, soft_off_types),
      wake_(clock.create_timer([this] { fired(); })) {}

AcpiPowerManagement::~AcpiPowerManagement() = default;

void AcpiPowerManagement::update(uint64_t now_ns) {
    sci_.want(chip_.sci());
    if (const auto next = chip_.next_event_ns(now_ns)) {
        wake_->arm(*next);
    } else {
        wake_->disarm();
    }
}

void AcpiPowerManagement::fired() {
    {
        MutexLock lock(mutex_);
        const uint64_t now = clock_.now_ns();
        chip_.advance(now);
        update(now);
    }
    sci_.flush();
}

uint64_t AcpiPowerManagement::read(uint64_t offset, unsigned size) {
    uint64_t value = 0;
    {
        MutexLock lock(mutex_);
        const uint64_t now = clock_.now_ns();  // one moment for all bytes of the timer
        for (unsigned i = 0; i < size; ++i) {
            value |= uint64_t{chip_.read(static_cast<unsigned>(offset) + i, now)} << (8 * i);
        }
        // The timer is read often and raises nothing that its wake-up would not.
        if (offset < acpi::kPmTimer) sci_.want(chip_.sci());
    }
    sci_.flush();
    return value;
}

void AcpiPowerManagement::write(uint64_t offset, unsigned size, uint64_t value) {
    bool soft_off = false;
    {
        MutexLock lock(mutex_);
        const uint64_t now = clock_.now_ns();
        for (unsigned i = 0; i < size; ++i) {
            const auto byte = static_cast<uint8_t>(value >> (8 * i));
            soft_off |= chip_.write(static_cast<unsigned>(offset) + i, byte, now);
        }
        update(now);
    }
    sci_.flush();
    if (soft_off) power_.power_off();
}

void AcpiPowerManagement::press_power_button() {
    {
        MutexLock lock(mutex_);
        chip_.press_power_button();
        sci_.want(chip_.sci());
    }
    sci_.flush();
}

void AcpiPowerManagement::raise_event(unsigned gpe) {
    {
        MutexLock lock(mutex_);
        chip_.raise_event(gpe);
        sci_.want(chip_.sci());
    }
    sci_.flush();
}

void AcpiPowerManagement::reset() {
    {
        MutexLock lock(mutex_);
        const uint64_t now = clock_.now_ns();
        chip_.reset(now);
        update(now);
    }
    sci_.flush();
}

}  // namespace mynah
