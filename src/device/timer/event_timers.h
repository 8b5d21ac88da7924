#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/mutex.h"
#include "bus/interrupt_line.h"
#include "bus/io_handler.h"
#include "bus/line_driver.h"
#include "bus/vm_clock.h"
#include "device/timer/hpet.h"

namespace mynah {

// Puts an Hpet into a PC: its window in memory (FED00000h), its interrupts, and the two ISA
// requests that it takes over from the interval timer and the real-time clock while legacy
// replacement is on. Any thread.
class EventTimers final : public IoHandler {
  public:
    struct Lines {
        InterruptLine& irq0;
        InterruptLine& irq8;
        std::array<InterruptLine*, hpet::timer::kGsis> gsis;  // 20 to 23
    };
    EventTimers(VmClock& clock, const Lines& lines);
    ~EventTimers() override;

    // Where the interval timer and the real-time clock are connected.
    InterruptLine& irq0_input() { return irq0_input_; }
    InterruptLine& irq8_input() { return irq8_input_; }

    uint64_t read(uint64_t offset, unsigned size) override EXCLUDES(mutex_);
    void write(uint64_t offset, unsigned size, uint64_t value) override EXCLUDES(mutex_);
    void reset() EXCLUDES(mutex_);

  private:
    class LegacyInput final : public InterruptLine {
      public:
        LegacyInput(EventTimers& timers, unsigned index) : timers_(timers), index_(index) {}
        void set(bool level) override { timers_.legacy_changed(index_, level); }

      private:
        EventTimers& timers_;
        unsigned index_;
    };
    // Outputs: irq0, irq8, then the pins.
    static constexpr unsigned kOutputs = 2 + hpet::timer::kGsis;

    void legacy_changed(unsigned index, bool level) EXCLUDES(mutex_);
    void fired() EXCLUDES(mutex_);
    void update(uint64_t now_ns) REQUIRES(mutex_);
    void flush() EXCLUDES(mutex_);
    static unsigned output_of(unsigned route);

    VmClock& clock_;
    std::array<std::unique_ptr<LineDriver>, kOutputs> outputs_;
    LegacyInput irq0_input_{*this, 0}, irq8_input_{*this, 1};
    Mutex mutex_;
    Hpet chip_ GUARDED_BY(mutex_);
    std::array<bool, 2> legacy_ GUARDED_BY(mutex_){};  // levels of the inputs
    std::unique_ptr<VmTimer> wake_;                    // last: its callback uses everything above
};

}  // namespace mynah
