#include "device/interrupt/local_apic.h"

namespace mynah {

bool LocalApic::schedule(uint64_t now_ns) {
    const std::optional<uint64_t> next = timer_.next_ns();
    if (!next) {
        wake_->disarm();
        return false;
    }
    if (*next <= now_ns) {
        // Due at once: the caller delivers it without a trip over the clock's thread.
        wake_->disarm();
        return true;
    }
    wake_->arm(*next);
    return false;
}

// On the clock's thread, or on the vCPU's for what is due when it is set.
void LocalApic::timer_fired() {
    bool expired;
    {
        MutexLock lock(timer_mutex_);
        if (lent_.load()) return;
        const uint64_t now = clock_.now_ns();
        expired = timer_.expire(now);
        // Periodic ticks are never due again at once: the pacer spaces them.
        if (const auto next = timer_.next_ns()) wake_->arm(*next);
    }
    if (expired) signal_lvt(0);
}

void LocalApic::write_initial_count(uint32_t value) {
    bool due;
    {
        MutexLock lock(timer_mutex_);
        const uint64_t now = clock_.now_ns();
        timer_.set_initial_count(value, now);
        due = schedule(now);
    }
    if (due) timer_fired();
}

void LocalApic::write_divide(uint32_t value) {
    bool due;
    {
        MutexLock lock(timer_mutex_);
        const uint64_t now = clock_.now_ns();
        timer_.set_divide(value, now);
        due = schedule(now);
    }
    if (due) timer_fired();
}

void LocalApic::set_timer_mode(uint32_t lvt_timer) {
    const uint32_t field = (lvt_timer & apic::lvt::kTimerMode) >> apic::lvt::kTimerModeShift;
    // 3 is reserved; it does what one-shot does.
    const auto wanted =
        field == 3 ? ApicTimer::Mode::kOneShot : static_cast<ApicTimer::Mode>(field);
    bool due = false;
    {
        MutexLock lock(timer_mutex_);
        if (timer_.mode() != wanted) {
            const uint64_t now = clock_.now_ns();
            timer_.set_mode(wanted, now);
            due = schedule(now);
        }
    }
    if (due) timer_fired();
}

void LocalApic::write_tsc_deadline(uint64_t value) {
    const uint64_t deadline_ns = value == 0 ? 0 : config_.clock_ns_at_tsc(value);
    bool due;
    {
        MutexLock lock(timer_mutex_);
        timer_.set_deadline(value, deadline_ns);
        due = schedule(clock_.now_ns());
    }
    if (due) timer_fired();
}

void LocalApic::tsc_changed() {
    if (lent_.load()) return;
    uint64_t deadline;
    {
        MutexLock lock(timer_mutex_);
        deadline = timer_.deadline();
    }
    // If it fires in between, it is armed again for a time that is past or to come: one interrupt
    // too many at a moment when the guest turns its clock anyway.
    if (deadline != 0) write_tsc_deadline(deadline);
}

void LocalApic::reset_timer() {
    MutexLock lock(timer_mutex_);
    timer_.reset();
    wake_->disarm();
}

uint32_t LocalApic::timer_register(apic::Register reg) {
    MutexLock lock(timer_mutex_);
    switch (reg) {
        case apic::Register::kInitialCount: return timer_.initial_count();
        case apic::Register::kCurrentCount: return timer_.current_count(clock_.now_ns());
        default: return timer_.divide_configuration();
    }
}

}  // namespace mynah
