#include "device/interrupt/local_apic.h"

#include "base/check.h"
#include "spec/x86/msr.h"

namespace mynah {

namespace lvt = apic::lvt;

namespace {

constexpr unsigned entry_index(apic::Register reg) {
    return static_cast<unsigned>(reg) - static_cast<unsigned>(apic::Register::kLvtTimer);
}
constexpr unsigned kLint0Entry = entry_index(apic::Register::kLvtLint0);
constexpr unsigned kErrorEntry = entry_index(apic::Register::kLvtError);

constexpr DeliveryMode delivery_of(uint32_t entry) {
    return static_cast<DeliveryMode>((entry & lvt::kDelivery) >> lvt::kDeliveryShift);
}

}  // namespace

LocalApic::LocalApic(Config config, CpuSignals& signals, ApicBus& bus, VmClock& clock)
    : config_(std::move(config)),
      signals_(signals),
      bus_(bus),
      clock_(clock),
      timer_(config_.timer_hz),
      wake_(clock.create_timer([this] { timer_fired(); })) {
    CHECK(config_.timer_hz > 0);
    CHECK(config_.clock_ns_at_tsc || !config_.has_tsc_deadline);
    reset();
    bus_.attach(*this);
}

LocalApic::~LocalApic() = default;

LocalApic::Mode LocalApic::mode() const {
    const uint64_t base = base_msr_.load(std::memory_order_relaxed);
    if ((base & x86::msr::kApicBaseEnable) == 0) return Mode::kDisabled;
    return (base & x86::msr::kApicBaseExtd) != 0 ? Mode::kX2apic : Mode::kXapic;
}

void LocalApic::reset() {
    set_base(apic::kDefaultBase | x86::msr::kApicBaseEnable |
             (config_.bootstrap ? x86::msr::kApicBaseBsp : 0));
    clear_registers();
}

void LocalApic::init() { clear_registers(); }

void LocalApic::enter_virtual_wire_mode() {
    write_svr(apic::svr::kEnabled | 0x0f);
    write_lvt(kLint0Entry, static_cast<uint32_t>(DeliveryMode::kExtInt) << lvt::kDeliveryShift);
    write_lvt(kLint0Entry + 1, static_cast<uint32_t>(DeliveryMode::kNmi) << lvt::kDeliveryShift);
}

// --- Priority and delivery to the processor [SDM 3A 10.8].

bool LocalApic::vector_deliverable() const {
    if (unfinished_.load() != kNone) return true;
    const int vector = irr_.highest();
    return vector >= 0 && (vector & 0xf0) > (ppr_.load() & 0xf0u) && mode() != Mode::kDisabled;
}

// A disabled APIC connects the pin to the processor directly [SDM 3A 10.4.3].
bool LocalApic::external_deliverable() const {
    if (config_.external == nullptr) return false;
    if (external_message_.load()) return true;
    if ((lint_levels_.load() & 1) == 0) return false;
    if (mode() == Mode::kDisabled) return true;
    const uint32_t entry = lvt_[kLint0Entry].load();
    return (entry & lvt::kMasked) == 0 && delivery_of(entry) == DeliveryMode::kExtInt;
}

// The signal says that something may be deliverable. A sender sets IRR, then looks at the
// priority, then raises; this side lowers, then looks at IRR again: whoever comes second sees
// what the other did, so no interrupt is left behind.
bool LocalApic::wants_attention() const {
    if (vector_deliverable() || external_deliverable()) return true;
    return silent_offered_.load() && irr_.highest() >= 0;
}

void LocalApic::raise_if_deliverable() {
    if (wants_attention()) signals_.raise(CpuSignals::kInterrupt);
}

void LocalApic::refresh_signal() {
    if (lent_.load()) {
        refresh_external();
        return;
    }
    if (wants_attention()) {
        signals_.raise(CpuSignals::kInterrupt);
        return;
    }
    signals_.lower(CpuSignals::kInterrupt);
    raise_if_deliverable();
}

void LocalApic::update_priority() {
    const uint32_t task = tpr_.load(std::memory_order_relaxed);
    const int serving = isr_.highest();
    const uint32_t service = serving < 0 ? 0 : static_cast<uint32_t>(serving) & 0xf0;
    ppr_.store((task & 0xf0) >= service ? task : service);
}

void LocalApic::write_tpr(uint8_t value) {
    settle();
    tpr_.store(value);
    update_priority();
    refresh_signal();
}

void LocalApic::write_cr8(uint8_t value) { write_tpr(static_cast<uint8_t>(value << 4)); }

std::optional<uint8_t> LocalApic::acknowledge_interrupt() {
    if (lent_.load()) return acknowledge_external();
    settle();
    if (const int again = unfinished_.exchange(kNone); again != kNone) {
        refresh_signal();
        return static_cast<uint8_t>(again);
    }
    if (external_deliverable()) {
        external_message_.store(false);
        const uint8_t vector = config_.external->acknowledge();
        refresh_signal();
        return vector;
    }
    const int vector = irr_.highest();
    if (vector < 0 || (vector & 0xf0) <= static_cast<int>(ppr_.load() & 0xf0) ||
        mode() == Mode::kDisabled) {
        refresh_signal();
        return std::nullopt;
    }
    const uint8_t taken = static_cast<uint8_t>(vector);
    irr_.remove(taken);
    isr_.insert(taken);
    update_priority();
    offer_silent_eoi();
    refresh_signal();
    return taken;
}

// For the one interrupt in service, if its end tells nobody and nothing waits for it. A sender puts
// its vector into IRR and then looks whether this is on offer; this side offers, then looks at IRR:
// as with the signal, one of them sees the other.
void LocalApic::offer_silent_eoi() {
    if (silent_ == nullptr || irr_.highest() >= 0) return;
    const int serving = isr_.highest();
    if (serving < 0 || !isr_.only(static_cast<uint8_t>(serving)) ||
        tmr_.contains(static_cast<uint8_t>(serving)) || !silent_->offer())
        return;
    silent_offered_.store(true);
    if (irr_.highest() >= 0) settle();
}

void LocalApic::settle() {
    if (!silent_offered_.load(std::memory_order_relaxed)) return;
    const bool ended = silent_->withdraw();
    silent_offered_.store(false);
    if (ended) end_in_service();
    refresh_signal();
}

void LocalApic::end_of_interrupt() {
    settle();
    end_in_service();
}

void LocalApic::end_in_service() {
    const int serving = isr_.highest();
    if (serving < 0) return;
    const uint8_t vector = static_cast<uint8_t>(serving);
    isr_.remove(vector);
    update_priority();
    if (tmr_.contains(vector)) {
        for (unsigned entry = kLint0Entry; entry < kLint0Entry + 2; ++entry) {
            const uint32_t value = lvt_[entry].load();
            if ((value & lvt::kRemoteIrr) == 0 || (value & lvt::kVector) != vector) continue;
            lvt_[entry].fetch_and(~lvt::kRemoteIrr);
            signal_lint_level(entry);
        }
        if ((svr_.load() & apic::svr::kSuppressEoiBroadcast) == 0) bus_.end_of_interrupt(vector);
    }
    refresh_signal();
}

// --- Accepting interrupts; any thread [SDM 3A 10.8.3].

bool LocalApic::enabled_by_software() const {
    return mode() != Mode::kDisabled && (svr_.load() & apic::svr::kEnabled) != 0;
}

bool LocalApic::accept_fixed(uint8_t vector, bool level) {
    if (vector < 16) {
        report_error(apic::esr::kReceiveIllegalVector);
        return false;
    }
    if (!enabled_by_software()) return false;
    if (level) {
        tmr_.insert(vector);
    } else if (tmr_.contains(vector)) {
        tmr_.remove(vector);
    }
    irr_.insert(vector);
    if ((vector & 0xf0) > (ppr_.load() & 0xf0u) || silent_offered_.load())
        signals_.raise(CpuSignals::kInterrupt);
    return true;
}

bool LocalApic::accept(const ApicMessage& message) {
    if (mode() == Mode::kDisabled) return false;
    switch (message.mode) {
        case DeliveryMode::kFixed:
        case DeliveryMode::kLowestPriority:
            return accept_fixed(message.vector, message.level_triggered);
        case DeliveryMode::kNmi: signals_.raise(CpuSignals::kNmi); break;
        case DeliveryMode::kInit: signals_.raise(CpuSignals::kInit); break;
        case DeliveryMode::kExtInt:
            external_message_.store(true);
            raise_if_deliverable();
            break;
        case DeliveryMode::kSmi: signals_.raise(CpuSignals::kSmi); break;
        case DeliveryMode::kStartup: return false;
    }
    return true;
}

void LocalApic::signal_lvt(unsigned entry) {
    const uint32_t value = lvt_[entry].load();
    if ((value & lvt::kMasked) != 0) return;
    switch (delivery_of(value)) {
        case DeliveryMode::kFixed:
            accept_fixed(static_cast<uint8_t>(value & lvt::kVector), false);
            break;
        case DeliveryMode::kNmi: signals_.raise(CpuSignals::kNmi); break;
        case DeliveryMode::kInit: signals_.raise(CpuSignals::kInit); break;
        case DeliveryMode::kSmi: signals_.raise(CpuSignals::kSmi); break;
        default: break;
    }
}

// A level-triggered local pin: once per end of interrupt, as long as it is high.
void LocalApic::signal_lint_level(unsigned entry) {
    const uint32_t value = lvt_[entry].load();
    const bool high = (lint_levels_.load() >> (entry - kLint0Entry) & 1) != 0;
    if ((value & (lvt::kMasked | lvt::kRemoteIrr)) != 0) return;
    if ((value & lvt::kLevel) == 0 || !high) return;
    if (delivery_of(value) != DeliveryMode::kFixed) return;
    if ((lvt_[entry].fetch_or(lvt::kRemoteIrr) & lvt::kRemoteIrr) != 0) return;
    accept_fixed(static_cast<uint8_t>(value & lvt::kVector), true);
}

void LocalApic::set_lint(unsigned pin, bool level) {
    const uint32_t mask = 1u << pin;
    const uint32_t before = level ? lint_levels_.fetch_or(mask) : lint_levels_.fetch_and(~mask);
    if (!level) return;
    if (lent_.load()) {
        if (pin == 0) signals_.raise(CpuSignals::kInterrupt);
        return;
    }
    const bool rising = (before & mask) == 0;
    const unsigned entry = kLint0Entry + pin;
    const uint32_t value = lvt_[entry].load();
    if (mode() == Mode::kDisabled) {
        if (pin == 0) raise_if_deliverable();
        if (pin == 1 && rising) signals_.raise(CpuSignals::kNmi);
    } else if (delivery_of(value) == DeliveryMode::kExtInt) {
        raise_if_deliverable();
    } else if (delivery_of(value) == DeliveryMode::kFixed && (value & lvt::kLevel) != 0) {
        signal_lint_level(entry);
    } else if (rising) {
        signal_lvt(entry);
    }
}

// The interrupt comes with the first error of a kind since ESR was last written, so an error
// entry with an illegal vector does not report itself for ever.
void LocalApic::report_error(uint32_t bits) {
    const uint32_t before = errors_.fetch_or(bits);
    if ((before & bits) != bits) signal_lvt(kErrorEntry);
}

}  // namespace mynah
