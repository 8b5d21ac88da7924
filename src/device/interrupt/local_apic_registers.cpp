#include "device/interrupt/local_apic_registers.h"

#include "base/bits.h"
#include "device/interrupt/local_apic.h"
#include "spec/x86/msr.h"

namespace mynah {

namespace lvt = apic::lvt;
namespace msr = x86::msr;
using apic::Register;

namespace {

constexpr uint32_t number(Register reg) { return static_cast<uint32_t>(reg); }
constexpr bool is_lvt(uint32_t reg) {
    return reg >= number(Register::kLvtTimer) && reg <= number(Register::kLvtError);
}
constexpr unsigned lvt_entry(uint32_t reg) { return reg - number(Register::kLvtTimer); }

constexpr uint32_t kTscDeadlineModeBit = 2u << lvt::kTimerModeShift;
constexpr uint32_t kDivideWritable = 0xb;

}  // namespace

// --- IA32_APIC_BASE and the MSRs [SDM 3A 10.4.4, 10.12].

void LocalApic::set_base(uint64_t value) {
    base_msr_.store(value);
    page_.store(mode() == Mode::kXapic ? align_down(value & low_mask(config_.physical_bits),
                                                    apic::kPageBytes)
                                       : kNoPage);
}

bool LocalApic::write_base(uint64_t value) {
    const uint64_t writable =
        msr::kApicBaseBsp | msr::kApicBaseEnable |
        (config_.has_x2apic ? msr::kApicBaseExtd : 0) |
        (low_mask(config_.physical_bits) & ~(apic::kPageBytes - 1));
    if ((value & ~writable) != 0) return false;
    const bool enable = (value & msr::kApicBaseEnable) != 0;
    const bool extended = (value & msr::kApicBaseExtd) != 0;
    // Legal moves only [SDM 3A figure 10-27]: x2APIC is entered from xAPIC and left by disabling.
    if (extended && !enable) return false;
    if (extended && mode() == Mode::kDisabled) return false;
    if (!extended && enable && mode() == Mode::kX2apic) return false;
    const bool disabling = !enable && mode() != Mode::kDisabled;
    set_base(value);
    // Disabled and enabled again it is as after power-up [SDM 3A 10.4.3].
    if (disabling) clear_registers();
    refresh_signal();
    return true;
}

bool LocalApic::owns_msr(uint32_t index) {
    return index == msr::kApicBase || index == msr::kTscDeadline ||
           (index >= msr::kX2ApicFirst && index <= msr::kX2ApicLast);
}

std::optional<uint64_t> LocalApic::read_msr(uint32_t index) {
    if (index == msr::kApicBase) return base_msr_.load();
    if (index == msr::kTscDeadline) {
        if (!config_.has_tsc_deadline) return std::nullopt;
        MutexLock lock(timer_mutex_);
        return timer_.deadline();
    }
    if (!owns_msr(index) || mode() != Mode::kX2apic) return std::nullopt;
    return read_x2apic(index - msr::kX2ApicFirst);
}

bool LocalApic::write_msr(uint32_t index, uint64_t value) {
    if (index == msr::kApicBase) return write_base(value);
    if (index == msr::kTscDeadline) {
        if (!config_.has_tsc_deadline) return false;
        write_tsc_deadline(value);
        return true;
    }
    if (!owns_msr(index) || mode() != Mode::kX2apic) return false;
    return write_x2apic(index - msr::kX2ApicFirst, value);
}

// --- What both modes read and write alike. Nothing / false: no such register there.

std::optional<uint32_t> LocalApic::read_shared(uint32_t reg) {
    if (is_lvt(reg)) return lvt_[lvt_entry(reg)].load();
    if (reg >= number(Register::kIsr0) && reg < number(Register::kIsr0) + 8) {
        settle();
        return isr_.word(reg - number(Register::kIsr0));
    }
    if (reg >= number(Register::kTmr0) && reg < number(Register::kTmr0) + 8)
        return tmr_.word(reg - number(Register::kTmr0));
    if (reg >= number(Register::kIrr0) && reg < number(Register::kIrr0) + 8)
        return irr_.word(reg - number(Register::kIrr0));
    switch (static_cast<Register>(reg)) {
        case Register::kVersion: return apic::kVersion;
        case Register::kTpr: return tpr_.load();
        case Register::kPpr: settle(); return ppr_.load();
        case Register::kSvr: return svr_.load();
        case Register::kEsr: return esr_;
        case Register::kInitialCount:
        case Register::kCurrentCount:
        case Register::kDivide: return timer_register(static_cast<Register>(reg));
        default: return std::nullopt;
    }
}

bool LocalApic::write_shared(uint32_t reg, uint32_t value) {
    if (is_lvt(reg)) {
        write_lvt(lvt_entry(reg), value);
        return true;
    }
    switch (static_cast<Register>(reg)) {
        case Register::kTpr: write_tpr(static_cast<uint8_t>(value)); return true;
        case Register::kEoi: end_of_interrupt(); return true;
        case Register::kSvr: write_svr(value); return true;
        // A write shows what was collected since the last one [SDM 3A 10.5.3].
        case Register::kEsr: esr_ = errors_.exchange(0); return true;
        case Register::kInitialCount: write_initial_count(value); return true;
        case Register::kDivide: write_divide(value & kDivideWritable); return true;
        default: return false;
    }
}

void LocalApic::write_svr(uint32_t value) {
    svr_.store(value & apic::svr::kWritable);
    if ((value & apic::svr::kEnabled) != 0) return;
    // Switched off, every entry is masked and stays so [SDM 3A 10.4.7.2].
    for (auto& entry : lvt_) entry.fetch_or(lvt::kMasked);
}

void LocalApic::write_lvt(unsigned entry, uint32_t value) {
    uint32_t next = value & lvt::kWritable[entry];
    if (entry == 0 && !config_.has_tsc_deadline) next &= ~kTscDeadlineModeBit;
    if ((svr_.load() & apic::svr::kEnabled) == 0) next |= lvt::kMasked;
    if (entry == 0) set_timer_mode(next);
    const uint32_t before = lvt_[entry].load();
    // Remote IRR stays while the entry stays level-triggered.
    if ((next & lvt::kLevel) != 0) next |= before & lvt::kRemoteIrr;
    lvt_[entry].store(next);
    const unsigned lint0 = lvt_entry(number(Register::kLvtLint0));
    if (entry == lint0 || entry == lint0 + 1) {
        signal_lint_level(entry);
        refresh_signal();
    }
}

// What was offered by SilentEoi is forgotten: memory may be another guest's by now.
void LocalApic::clear_registers() {
    silent_offered_.store(false);
    reset_timer();
    irr_.clear();
    isr_.clear();
    tmr_.clear();
    for (auto& entry : lvt_) entry.store(lvt::kMasked);
    tpr_.store(0);
    ppr_.store(0);
    ldr_.store(0);
    dfr_.store(apic::kDfrFlat);
    svr_.store(apic::svr::kReset);
    errors_.store(0);
    external_message_.store(false);
    unfinished_.store(kNone);
    esr_ = icr_low_ = icr_high_ = 0;
    refresh_signal();
}

// --- xAPIC: memory-mapped, 32 bits every 16 bytes [SDM 3A 10.4.1].

uint32_t LocalApic::read_xapic(uint32_t reg) {
    switch (static_cast<Register>(reg)) {
        case Register::kId: return config_.apic_id << 24;
        case Register::kLdr: return ldr_.load();
        case Register::kDfr: return dfr_.load();
        case Register::kIcrLow: return icr_low_;
        case Register::kIcrHigh: return icr_high_;
        case Register::kApr:
        case Register::kRrd:
        case Register::kEoi: return 0;
        default: break;
    }
    const std::optional<uint32_t> value = read_shared(reg);
    if (!value) report_error(apic::esr::kIllegalRegister);
    return value.value_or(0);
}

void LocalApic::write_xapic(uint32_t reg, uint32_t value) {
    switch (static_cast<Register>(reg)) {
        case Register::kLdr: ldr_.store(value & 0xff000000); return;
        case Register::kDfr: dfr_.store(value | apic::kDfrReserved); return;
        case Register::kIcrHigh: icr_high_ = value & 0xff000000; return;
        case Register::kIcrLow: {
            icr_low_ = value & apic::icr::kLowWritable;
            uint32_t destination = icr_high_ >> 24;
            if (destination == 0xff) destination = ApicMessage::kBroadcast;
            send_ipi(icr_low_, destination);
            return;
        }
        default: break;
    }
    // Read-only registers ignore writes; what is none at all is an error.
    if (!write_shared(reg, value) && !read_shared(reg) && reg != number(Register::kId) &&
        reg != number(Register::kApr) && reg != number(Register::kRrd)) {
        report_error(apic::esr::kIllegalRegister);
    }
}

// Aligned 32-bit accesses are defined; narrower reads give their part, everything between the
// registers reads 0 and ignores writes.
uint64_t LocalApic::mmio_read(GuestPhys address, unsigned size) {
    const uint32_t offset = static_cast<uint32_t>(address.value & (apic::kPageBytes - 1));
    const unsigned within = offset & 15;
    if (within + size > 4 && within != 0) return 0;
    return (uint64_t{read_xapic(offset >> 4)} >> (8 * within)) & low_mask(8 * size);
}

void LocalApic::mmio_write(GuestPhys address, unsigned size, uint64_t value) {
    const uint32_t offset = static_cast<uint32_t>(address.value & (apic::kPageBytes - 1));
    if ((offset & 15) != 0 || size < 4) return;
    write_xapic(offset >> 4, static_cast<uint32_t>(value));
}

// --- x2APIC: MSRs, where reserved bits and wrong directions are #GP [SDM 3A 10.12.1.2].

std::optional<uint64_t> LocalApic::read_x2apic(uint32_t reg) {
    switch (static_cast<Register>(reg)) {
        case Register::kId: return config_.apic_id;
        case Register::kLdr: return logical_id();
        case Register::kIcrLow: return uint64_t{icr_high_} << 32 | icr_low_;
        default: break;
    }
    if (const std::optional<uint32_t> value = read_shared(reg)) return uint64_t{*value};
    return std::nullopt;
}

bool LocalApic::lvt_value_allowed(unsigned entry, uint64_t value) const {
    uint64_t allowed = lvt::kWritable[entry] | lvt::kPending | lvt::kRemoteIrr;
    if (entry == 0 && !config_.has_tsc_deadline) allowed &= ~uint64_t{kTscDeadlineModeBit};
    return (value & ~allowed) == 0;
}

bool LocalApic::write_x2apic(uint32_t reg, uint64_t value) {
    if (reg == number(Register::kIcrLow)) {
        const uint32_t low = static_cast<uint32_t>(value);
        if ((low & ~(apic::icr::kLowWritable | uint32_t{apic::icr::kStatus})) != 0) return false;
        icr_low_ = low & apic::icr::kLowWritable;
        icr_high_ = static_cast<uint32_t>(value >> apic::icr::kX2apicDestinationShift);
        send_ipi(icr_low_, icr_high_);
        return true;
    }
    uint64_t allowed = 0;
    switch (static_cast<Register>(reg)) {
        case Register::kTpr:
        case Register::kSelfIpi: allowed = 0xff; break;
        case Register::kEoi:
        case Register::kEsr: allowed = 0; break;
        case Register::kSvr: allowed = apic::svr::kWritable; break;
        case Register::kInitialCount: allowed = 0xffffffff; break;
        case Register::kDivide: allowed = kDivideWritable; break;
        default:
            if (!is_lvt(reg) || !lvt_value_allowed(lvt_entry(reg), value)) return false;
            allowed = value;
            break;
    }
    if ((value & ~allowed) != 0) return false;
    if (reg == number(Register::kSelfIpi)) {
        send_self_ipi(static_cast<uint8_t>(value));
        return true;
    }
    return write_shared(reg, static_cast<uint32_t>(value));
}

}  // namespace mynah
