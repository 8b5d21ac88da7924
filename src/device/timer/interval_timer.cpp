#include "device/timer/interval_timer.h"

namespace mynah {
namespace {

// Port 61h [ICH10 13.7.1].
constexpr uint8_t kGate2 = 0x01, kWritable = 0x0f, kRefresh = 0x10, kOutput2 = 0x20;
constexpr uint64_t kRefreshNs = 15'085;

constexpr uint64_t kNsPerSecond = 1'000'000'000;

}  // namespace

IntervalTimer::IntervalTimer(VmClock& clock, InterruptLine& irq0)
    : clock_(clock),
      irq0_(irq0),
      ports_(*this, &IntervalTimer::read_chip, &IntervalTimer::write_chip),
      port_b_(*this, &IntervalTimer::read_port_b, &IntervalTimer::write_port_b),
      wake_(clock.create_timer([this] { fired(); })) {
    chip_.counter(2).set_gate(false, 0);
}

IntervalTimer::~IntervalTimer() = default;

// Brings line and wake-up in step with counter 0 after it was touched. In modes 2 and 3 the line
// rests high and each tick is a dip: software sees the edges, not the width of the wave.
void IntervalTimer::update() {
    Pit8254Counter& counter = chip_.counter(0);
    const uint64_t now = clocks();
    const bool output = counter.output(now);  // also lets a new count take effect
    irq0_.want(output || counter.periodic());
    if (counter.generation() == generation_) return;
    generation_ = counter.generation();
    pacer_.stop();
    const auto rise = counter.next_rise(now);
    if (!rise) {
        wake_->disarm();
        return;
    }
    if (const auto period = counter.period(now)) {
        pacer_.start(Pit8254::ns_at(*rise), *period * kNsPerSecond, Pit8254::kHz);
    }
    wake_->arm(Pit8254::ns_at(*rise));
}

void IntervalTimer::fired() {
    {
        MutexLock lock(mutex_);
        const uint64_t now_ns = clock_.now_ns();
        if (pacer_.running()) {
            if (now_ns >= pacer_.next_ns()) {
                irq0_.want_edge();
                pacer_.tick(now_ns);
            }
            wake_->arm(pacer_.next_ns());
        } else if (chip_.counter(0).mode() >= 4 && !chip_.counter(0).next_rise(clocks())) {
            irq0_.want_edge();  // the strobe, one clock long, is over
        }
        update();
    }
    irq0_.flush();
}

uint8_t IntervalTimer::read_chip(unsigned offset) {
    MutexLock lock(mutex_);
    return chip_.read(offset, clocks());
}

void IntervalTimer::write_chip(unsigned offset, uint8_t value) {
    {
        MutexLock lock(mutex_);
        chip_.write(offset, value, clocks());
        update();
    }
    irq0_.flush();
}

uint8_t IntervalTimer::read_port_b(unsigned) {
    MutexLock lock(mutex_);
    const uint64_t now_ns = clock_.now_ns();
    uint8_t value = port_b_bits_;
    if ((now_ns / kRefreshNs & 1) != 0) value |= kRefresh;
    if (chip_.counter(2).output(Pit8254::clocks_at(now_ns))) value |= kOutput2;
    return value;
}

void IntervalTimer::write_port_b(unsigned, uint8_t value) {
    MutexLock lock(mutex_);
    port_b_bits_ = value & kWritable;
    chip_.counter(2).set_gate((value & kGate2) != 0, clocks());
}

void IntervalTimer::reset() {
    {
        MutexLock lock(mutex_);
        const uint64_t now = clocks();
        chip_.reset(now);
        chip_.counter(2).set_gate(false, now);
        port_b_bits_ = 0;
        update();
    }
    irq0_.flush();
}

}  // namespace mynah
