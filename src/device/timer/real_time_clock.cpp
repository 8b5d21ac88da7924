#include "device/timer/real_time_clock.h"

namespace mynah {

RealTimeClock::RealTimeClock(VmClock& clock, InterruptLine& irq8, int64_t unix_seconds,
                             uint32_t nanoseconds)
    : clock_(clock),
      irq8_(irq8),
      chip_(unix_seconds, nanoseconds),
      ports_(*this, &RealTimeClock::read, &RealTimeClock::write),
      wake_(clock.create_timer([this] { fired(); })) {}

RealTimeClock::~RealTimeClock() = default;

void RealTimeClock::set_memory(uint8_t index, uint8_t value) {
    MutexLock lock(mutex_);
    chip_.set_memory(index, value);
}

void RealTimeClock::update(uint64_t now_ns) {
    irq8_.want(chip_.interrupt());
    if (const auto next = chip_.next_event_ns(now_ns)) {
        wake_->arm(*next);
    } else {
        wake_->disarm();
    }
}

void RealTimeClock::fired() {
    {
        MutexLock lock(mutex_);
        const uint64_t now = clock_.now_ns();
        chip_.advance(now);
        update(now);
    }
    irq8_.flush();
}

uint8_t RealTimeClock::read(unsigned offset) {
    if (offset == 0) return 0xff;  // the index port is write-only
    uint8_t value;
    {
        MutexLock lock(mutex_);
        const uint64_t now = clock_.now_ns();
        value = chip_.read(index_, now);
        update(now);
    }
    irq8_.flush();
    return value;
}

void RealTimeClock::write(unsigned offset, uint8_t value) {
    {
        MutexLock lock(mutex_);
        if (offset == 0) {
            index_ = value & (Mc146818::kBytes - 1);
            return;
        }
        const uint64_t now = clock_.now_ns();
        chip_.write(index_, value, now);
        update(now);
    }
    irq8_.flush();
}

void RealTimeClock::reset() {
    {
        MutexLock lock(mutex_);
        const uint64_t now = clock_.now_ns();
        chip_.reset(now);
        update(now);
    }
    irq8_.flush();
}

}  // namespace mynah
