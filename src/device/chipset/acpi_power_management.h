#pragma once

#include <cstdint>
#include <memory>

#include "base/mutex.h"
#include "bus/interrupt_line.h"
#include "bus/io_handler.h"
#include "bus/line_driver.h"
#include "bus/vm_clock.h"
#include "device/chipset/acpi_fixed_hardware.h"
#include "device/chipset/power_sink.h"

namespace mynah {

// Puts AcpiFixedHardware at a block of acpi::kBlockBytes ports, with the SCI as a level-triggered
// line and soft-off to the PowerSink. Any thread.
class AcpiPowerManagement final : public IoHandler {
 public:
    AcpiPowerManagement(VmClock& clock, InterruptLine& sci, PowerSink& power,
                        AcpiFixedHardware::TimerWidth width = AcpiFixedHardware::TimerWidth::k32,
                        uint8_t soft_off_types = 1u << acpi::kSleepTypeSoftOff);
    ~AcpiPowerManagement() override;

    uint64_t read(uint64_t offset, unsigned size) override EXCLUDES(mutex_);
    void write(uint64_t offset, unsigned size, uint64_t value) override EXCLUDES(mutex_);

    // The operator's wish that the guest shut down.
    void press_power_button() EXCLUDES(mutex_);
    void raise_event(unsigned gpe) EXCLUDES(mutex_);
    void reset() EXCLUDES(mutex_);

 private:
    void update(uint64_t now_ns) REQUIRES(mutex_);
    void fired() EXCLUDES(mutex_);

    VmClock& clock_;
    PowerSink& power_;
    LineDriver sci_;
    Mutex mutex_;
    AcpiFixedHardware chip_ GUARDED_BY(mutex_);
    std::unique_ptr<VmTimer> wake_;  // last: its callback uses everything above
};

}  // namespace mynah
