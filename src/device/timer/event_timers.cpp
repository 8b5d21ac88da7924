#include "device/timer/event_timers.h"

#include "base/bits.h"

namespace mynah {

EventTimers::EventTimers(VmClock& clock, const Lines& lines)
    : clock_(clock), wake_(clock.create_timer([this] { fired(); })) {
    outputs_[0] = std::make_unique<LineDriver>(lines.irq0);
    outputs_[1] = std::make_unique<LineDriver>(lines.irq8);
    for (unsigned i = 0; i < lines.gsis.size(); ++i)
        outputs_[2 + i] = std::make_unique<LineDriver>(*lines.gsis[i]);
}

EventTimers::~EventTimers() = default;

unsigned EventTimers::output_of(unsigned route) {
    if (route == 0) return 0;
    if (route == 8) return 1;
    return 2 + (route - hpet::timer::kFirstGsi);
}

void EventTimers::update(uint64_t now_ns) {
    std::array<bool, kOutputs> levels{}, edges{};
    if (!chip_.legacy_replacement()) levels[0] = legacy_[0], levels[1] = legacy_[1];
    for (unsigned i = 0; i < hpet::kTimerCount; ++i) {
        const unsigned output = output_of(chip_.route(i));
        if (chip_.level(i)) levels[output] = true;
        if (chip_.take_edge(i)) edges[output] = true;
    }
    for (unsigned i = 0; i < kOutputs; ++i) {
        if (edges[i]) outputs_[i]->want_edge();
        outputs_[i]->want(levels[i]);
    }
    if (const auto next = chip_.next_event_ns(now_ns)) {
        wake_->arm(*next);
    } else {
        wake_->disarm();
    }
}

void EventTimers::flush() {
    for (const auto& output : outputs_) output->flush();
}

void EventTimers::fired() {
    {
        MutexLock lock(mutex_);
        const uint64_t now = clock_.now_ns();
        chip_.advance(now);
        update(now);
    }
    flush();
}

void EventTimers::legacy_changed(unsigned index, bool level) {
    {
        MutexLock lock(mutex_);
        legacy_[index] = level;
        if (chip_.legacy_replacement()) return;
        outputs_[index]->want(level);
    }
    outputs_[index]->flush();
}

uint64_t EventTimers::read(uint64_t offset, unsigned size) {
    constexpr unsigned kRegister = 8;
    const unsigned within = static_cast<unsigned>(offset % kRegister);
    if (within + size > kRegister) return 0;
    MutexLock lock(mutex_);
    const uint64_t value = chip_.read(static_cast<unsigned>(offset - within), clock_.now_ns());
    return value >> (8 * within);
}

void EventTimers::write(uint64_t offset, unsigned size, uint64_t value) {
    constexpr unsigned kRegister = 8;
    const unsigned within = static_cast<unsigned>(offset % kRegister);
    // Other widths are not defined [HPET 2.4.4].
    if (size < 4 || within + size > kRegister) return;
    {
        MutexLock lock(mutex_);
        const uint64_t now = clock_.now_ns();
        chip_.write(static_cast<unsigned>(offset - within), value << (8 * within),
                    low_mask(8 * size) << (8 * within), now);
        chip_.advance(now);
        update(now);
    }
    flush();
}

void EventTimers::reset() {
    {
        MutexLock lock(mutex_);
        chip_.reset();
        update(clock_.now_ns());
    }
    flush();
}

}  // namespace mynah
