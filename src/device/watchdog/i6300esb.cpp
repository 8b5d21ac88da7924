#include "device/watchdog/i6300esb.h"

namespace mynah {

using namespace i6300esb;

namespace {

constexpr PciIdentity kIdentity{.vendor = 0x8086,
                                .device = 0x25ab,
                                .class_code = 0x088000,  // other system peripheral
                                .revision = 0x02,
                                .subsystem_vendor = 0x8086,
                                .subsystem = 0x25ab,
                                .interrupt_pin = 0};

}  // namespace

I6300Esb::I6300Esb(const PciAttachment& attachment, VmClock& clock, std::function<void()> expired)
    : function_(attachment, kIdentity),
      clock_(clock),
      expired_(std::move(expired)),
      timer_(clock.create_timer([this] { stage_over(); })) {
    function_.add_bar(0, PciFunction::Bar::kMemory32, kWindow, *this);
    function_.set_config(kConfig, 2, 0, kConfigWritable);
    function_.set_config(kLock, 1, 0, kLockWritable);
    function_.on_config_write(
        [this](unsigned offset, unsigned size) { config_written(offset, size); });
}

// That it was the watchdog that ended the last run outlives the reset it made: the next system
// asks [6300ESB 16.5.4, bit 9].
void I6300Esb::reset() {
    timer_->disarm();
    function_.reset();
    MutexLock lock(mutex_);
    config_ = 0;
    lock_ = 0;
    preload_[0] = preload_[1] = kPreloadMask;
    unlocked_ = stage_ = 0;
    deadline_ = 0;
}

void I6300Esb::config_written(unsigned offset, unsigned size) {
    const auto touches = [&](unsigned from, unsigned bytes) {
        return offset < from + bytes && from < offset + size;
    };
    if (!touches(kConfig, 2) && !touches(kLock, 1)) return;
    const auto config = static_cast<uint16_t>(function_.config_read(kConfig, 2));
    const auto lock = static_cast<uint8_t>(function_.config_read(kLock, 1));
    bool locked = false;
    {
        MutexLock hold(mutex_);
        config_ = config;
        const bool was_on = (lock_ & kLockEnable) != 0;
        const bool other_mode = ((lock_ ^ lock) & kLockFreeRunning) != 0;
        lock_ = lock;
        locked = (lock & kLockLocked) != 0;
        const bool on = (lock_ & kLockEnable) != 0;
        if (on && (!was_on || other_mode)) {
            stage_ = 0;
            restart();
        } else if (!on) {
            deadline_ = 0;
            timer_->disarm();
        }
    }
    // From now on neither register changes before a reset [6300ESB 16.4.1.17].
    if (locked) {
        function_.lock_config(kConfig, 2, 0);
        function_.lock_config(kLock, 1, 0);
    }
}

uint64_t I6300Esb::stage_ns(uint32_t preload) const {
    const unsigned shift = (config_ & kConfigFast) != 0 ? kFastShift : kSlowShift;
    // At most 2^36 clocks, which fits times 1000; three thousandths of a cycle more or less.
    constexpr uint64_t kClocksPerMillisecond = kClockHz / 1000, kNsPerMicrosecond = 1000;
    return ((uint64_t{preload} + 1) << shift) * kNsPerMicrosecond / kClocksPerMillisecond *
           kNsPerMicrosecond;
}

void I6300Esb::restart() {
    // The first stage's end is an interrupt at the most, which is left out, and the free-running mode has
    // no second: nothing to wait for.
    if ((lock_ & kLockFreeRunning) != 0) {
        deadline_ = 0;
        timer_->disarm();
        return;
    }
    deadline_ = clock_.now_ns() + stage_ns(preload_[stage_]);
    timer_->arm(deadline_);
}

void I6300Esb::stage_over() {
    {
        MutexLock lock(mutex_);
        // It may have been reloaded, or turned off, just before.
        if (deadline_ == 0 || clock_.now_ns() < deadline_) return;
        if (stage_ == 0) {
            stage_ = 1;
            restart();
            return;
        }
        deadline_ = 0;
        stage_ = 0;
        timed_out_ = true;
        if ((config_ & kConfigNoOutput) != 0) return;
    }
    expired_();
}

uint64_t I6300Esb::read(uint64_t offset, unsigned) {
    MutexLock lock(mutex_);
    switch (offset) {
        case kPreload1:
            return preload_[0];
        case kPreload2:
            return preload_[1];
        case kReload:
            return timed_out_ ? kReloadTimeout : 0;
        default:
            return 0;
    }
}

void I6300Esb::write(uint64_t offset, unsigned, uint64_t value) {
    MutexLock lock(mutex_);
    if (offset == kReload && value == kUnlock1) {
        unlocked_ = 1;
        return;
    }
    if (offset == kReload && value == kUnlock2 && unlocked_ == 1) {
        unlocked_ = 2;
        return;
    }
    // Each write that is to have an effect needs the two words before it [6300ESB 16.5.5].
    if (unlocked_ != 2) {
        unlocked_ = 0;
        return;
    }
    unlocked_ = 0;
    if (offset == kPreload1 || offset == kPreload2) {
        preload_[offset / 4] = static_cast<uint32_t>(value) & kPreloadMask;
    } else if (offset == kReload) {
        if ((value & kReloadTimeout) != 0) timed_out_ = false;
        if ((value & kReloadNow) != 0 && (lock_ & kLockEnable) != 0) {
            stage_ = 0;
            restart();
        }
    }
}

}  // namespace mynah
