// A local APIC that moves into an engine and back.

#include <utility>

#include "base/bits.h"
#include "device/interrupt/local_apic.h"

namespace mynah {

using apic::Register;

namespace {

constexpr unsigned number(Register reg) { return static_cast<unsigned>(reg); }

}  // namespace

void LocalApic::give_back(uint8_t vector) {
    unfinished_.store(vector);
    refresh_signal();
}

ApicImage LocalApic::lend() {
    ApicImage image;
    auto& to = image.registers;
    for (unsigned reg = 0; reg < ApicImage::kRegisters; ++reg)
        to[reg] = read_shared(reg).value_or(0);
    to[number(Register::kId)] = config_.apic_id << 24;
    to[number(Register::kLdr)] = logical_id();
    to[number(Register::kDfr)] = dfr_.load();
    to[number(Register::kIcrLow)] = icr_low_;
    to[number(Register::kIcrHigh)] = icr_high_;
    image.base = base_msr_.load();
    if (const int again = unfinished_.exchange(kNone); again != kNone)
        image.unfinished = static_cast<uint8_t>(again);
    {
        MutexLock lock(timer_mutex_);
        image.tsc_deadline = timer_.deadline();
        wake_->disarm();
        lent_.store(true);
    }
    refresh_external();
    return image;
}

void LocalApic::take_back(const ApicImage& image) {
    const auto& from = image.registers;
    const auto reg = [&from](Register which) { return from[number(which)]; };
    set_base(image.base);
    tpr_.store(reg(Register::kTpr) & 0xff);
    ldr_.store(reg(Register::kLdr));
    dfr_.store(reg(Register::kDfr) | apic::kDfrReserved);
    svr_.store(reg(Register::kSvr) & apic::svr::kWritable);
    esr_ = reg(Register::kEsr);
    icr_low_ = reg(Register::kIcrLow) & apic::icr::kLowWritable;
    icr_high_ = reg(Register::kIcrHigh);
    for (unsigned i = 0; i < 8; ++i) {
        isr_.set_word(i, from[number(Register::kIsr0) + i]);
        tmr_.set_word(i, from[number(Register::kTmr0) + i]);
        irr_.set_word(i, from[number(Register::kIrr0) + i]);
    }
    for (unsigned i = 0; i < apic::kLvtCount; ++i) {
        const uint32_t entry = from[number(Register::kLvtTimer) + i];
        lvt_[i].store(entry & (apic::lvt::kWritable[i] | apic::lvt::kRemoteIrr));
    }
    unfinished_.store(image.unfinished ? *image.unfinished : kNone);
    update_priority();
    lent_.store(false);
    load_timer(image);
    refresh_signal();
}

void LocalApic::load_timer(const ApicImage& image) {
    const auto reg = [&image](Register which) { return image.registers[number(which)]; };
    const uint64_t deadline_ns = image.tsc_deadline == 0 || !config_.clock_ns_at_tsc
                                     ? 0
                                     : config_.clock_ns_at_tsc(image.tsc_deadline);
    const uint32_t field = (lvt_[0].load() & apic::lvt::kTimerMode) >> apic::lvt::kTimerModeShift;
    bool due;
    {
        MutexLock lock(timer_mutex_);
        const uint64_t now = clock_.now_ns();
        timer_.reset();
        timer_.set_mode(
            field == 3 ? ApicTimer::Mode::kOneShot : static_cast<ApicTimer::Mode>(field), now);
        timer_.set_divide(reg(Register::kDivide), now);
        timer_.resume(reg(Register::kInitialCount), reg(Register::kCurrentCount), now);
        timer_.set_deadline(image.tsc_deadline, deadline_ns);
        due = schedule(now);
    }
    if (due) timer_fired();
}

// --- While an engine has it: the signal is the PIC's wire, whether or not LINT0 passes it on. The
// engine asks for the vector when the processor takes it.

void LocalApic::refresh_external() {
    const auto is_high = [this] {
        return config_.external != nullptr && (lint_levels_.load() & 1) != 0;
    };
    if (!is_high()) signals_.lower(CpuSignals::kInterrupt);
    if (is_high()) signals_.raise(CpuSignals::kInterrupt);
}

std::optional<uint8_t> LocalApic::acknowledge_external() {
    std::optional<uint8_t> vector;
    if (config_.external != nullptr && (lint_levels_.load() & 1) != 0)
        vector = config_.external->acknowledge();
    refresh_external();
    return vector;
}

}  // namespace mynah
