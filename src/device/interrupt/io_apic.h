#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/mutex.h"
#include "bus/interrupt_line.h"
#include "bus/io_handler.h"
#include "bus/vm_clock.h"
#include "device/interrupt/apic_bus.h"
#include "device/interrupt/io_apic82093.h"

namespace mynah {

// Puts an IoApic82093 on the memory bus (4 KiB, FEC00000h on a PC), gives its pins as lines and
// sends its messages over the APIC bus. Any thread.
class IoApic final : public IoHandler, public EoiSink {
 public:
    // Attaches itself to the bus, which must outlive it, as must the clock.
    IoApic(ApicBus& bus, VmClock& clock);
    ~IoApic() override;

    static constexpr uint64_t kWindowBytes = 4096;

    InterruptLine& pin(unsigned number);  // 0 to IoApic82093::kPins - 1

    uint64_t read(uint64_t offset, unsigned size) override EXCLUDES(mutex_);
    void write(uint64_t offset, unsigned size, uint64_t value) override EXCLUDES(mutex_);
    void end_of_interrupt(uint8_t vector) override EXCLUDES(mutex_);
    void tell_routes() override { follow_routes(true); }

    void reset() EXCLUDES(mutex_);

 private:
    class Pin;
    void set_pin(unsigned number, bool level) EXCLUDES(mutex_);
    void time_hold() REQUIRES(mutex_);
    void release_held() EXCLUDES(mutex_);
    void send(const IoApic82093::Messages& messages) EXCLUDES(mutex_);
    void follow_routes(bool all) EXCLUDES(mutex_, routes_mutex_);

    ApicBus& bus_;
    // Over telling the bus, so that what is told last is what is last; taken before mutex_.
    Mutex routes_mutex_;
    std::array<std::optional<MsiMessage>, IoApic82093::kPins> told_ GUARDED_BY(routes_mutex_);
    Mutex mutex_;
    IoApic82093 chip_ GUARDED_BY(mutex_);
    bool hold_armed_ GUARDED_BY(mutex_) = false;
    std::array<std::unique_ptr<Pin>, IoApic82093::kPins> pins_;
    VmClock& clock_;
    std::unique_ptr<VmTimer> hold_;  // for the levels that the chip holds back
};

}  // namespace mynah
