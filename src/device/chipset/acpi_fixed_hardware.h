#pragma once

#include <cstdint>
#include <optional>

#include "device/chipset/acpi_registers.h"

namespace mynah {

// ACPI's fixed hardware: PM1a event and control block, PM timer, GPE0 block [ACPI 6.4 4.8].
// Modelled: power button, timer overflow, SCI, soft-off; GPE0 status and enable bits for the
// board's events. ACPI mode is on from the start, so SCI_EN reads one unless the guest cleared it.
// Left out: legacy SMI, global lock, sleep states but S5.
// Single-threaded; AcpiPowerManagement is the attachment.
class AcpiFixedHardware {
 public:
    enum class TimerWidth : uint8_t { k24 = 24, k32 = 32 };
    // soft_off_types: bit n is set if SLP_TYP n means soft-off.
    explicit AcpiFixedHardware(TimerWidth width,
                               uint8_t soft_off_types = 1u << acpi::kSleepTypeSoftOff)
        : width_(width), soft_off_types_(soft_off_types) {}

    void reset(uint64_t now_ns);

    // Registers by offset in the block, 8 bits at a time except the timer, which is read whole.
    uint8_t read(unsigned offset, uint64_t now_ns);
    // True: the guest asked for soft-off.
    [[nodiscard]] bool write(unsigned offset, uint8_t value, uint64_t now_ns);
    uint32_t timer(uint64_t now_ns) const;

    void press_power_button() { status_ |= acpi::pm1_status::kPowerButton; }
    // GPE `number` 0 to 15 happened.
    void raise_event(unsigned number);

    // Sets TMR_STS if the timer's highest bit changed since the last call [ACPI 6.4 4.8.3.3].
    void advance(uint64_t now_ns);
    // When the highest bit changes next, if TMR_EN asks for it.
    std::optional<uint64_t> next_event_ns(uint64_t now_ns) const;
    bool sci() const;

 private:
    uint64_t ticks(uint64_t now_ns) const;
    uint64_t half_periods(uint64_t now_ns) const;

    const TimerWidth width_;
    const uint8_t soft_off_types_;
    uint16_t status_ = 0, enable_ = 0, control_ = acpi::pm1_control::kSciEnable;
    uint16_t gpe_status_ = 0, gpe_enable_ = 0;
    uint64_t seen_half_periods_ = 0;
};

}  // namespace mynah
