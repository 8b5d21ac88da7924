#include "device/chipset/acpi_fixed_hardware.h"

namespace mynah {

namespace {

using Wide = unsigned __int128;
constexpr uint64_t kNsPerSecond = 1'000'000'000;

constexpr uint8_t byte_of(uint32_t value, unsigned index) {
    return static_cast<uint8_t>(value >> (8 * index));
}
constexpr uint16_t with_byte(uint16_t value, unsigned index, uint8_t byte) {
    const unsigned shift = 8 * index;
    return static_cast<uint16_t>((value & ~(0xffu << shift)) | unsigned{byte} << shift);
}

}  // namespace

void AcpiFixedHardware::reset(uint64_t now_ns) {
    status_ = enable_ = gpe_status_ = gpe_enable_ = 0;
    control_ = acpi::pm1_control::kSciEnable;
    seen_half_periods_ = half_periods(now_ns);
}

uint64_t AcpiFixedHardware::ticks(uint64_t now_ns) const {
    return static_cast<uint64_t>(Wide{now_ns} * acpi::kPmTimerHz / kNsPerSecond);
}

uint32_t AcpiFixedHardware::timer(uint64_t now_ns) const {
    const uint64_t count = ticks(now_ns);
    return static_cast<uint32_t>(width_ == TimerWidth::k24 ? count & 0xffffff : count);
}

// How often the timer's highest bit has changed.
uint64_t AcpiFixedHardware::half_periods(uint64_t now_ns) const {
    return ticks(now_ns) >> (static_cast<unsigned>(width_) - 1);
}

void AcpiFixedHardware::advance(uint64_t now_ns) {
    const uint64_t now = half_periods(now_ns);
    if (now != seen_half_periods_) status_ |= acpi::pm1_status::kTimer;
    seen_half_periods_ = now;
}

std::optional<uint64_t> AcpiFixedHardware::next_event_ns(uint64_t now_ns) const {
    if ((enable_ & acpi::pm1_enable::kTimer) == 0) return std::nullopt;
    const Wide tick = Wide{half_periods(now_ns) + 1} << (static_cast<unsigned>(width_) - 1);
    return static_cast<uint64_t>((tick * kNsPerSecond + acpi::kPmTimerHz - 1) / acpi::kPmTimerHz);
}

bool AcpiFixedHardware::sci() const {
    if ((control_ & acpi::pm1_control::kSciEnable) == 0) return false;
    return (status_ & enable_) != 0 || (gpe_status_ & gpe_enable_) != 0;
}

void AcpiFixedHardware::raise_event(unsigned number) {
    gpe_status_ = static_cast<uint16_t>(gpe_status_ | 1u << (number & 15));
}

uint8_t AcpiFixedHardware::read(unsigned offset, uint64_t now_ns) {
    advance(now_ns);
    if (offset < acpi::kPm1Event + 2) return byte_of(status_, offset);
    if (offset < acpi::kPm1Event + 4) return byte_of(enable_, offset - 2);
    if (offset < acpi::kPm1Control + 2) return byte_of(control_, offset - acpi::kPm1Control);
    if (offset >= acpi::kPmTimer && offset < acpi::kPmTimer + 4) {
        return byte_of(timer(now_ns), offset - acpi::kPmTimer);
    }
    if (offset >= acpi::kGpe0 && offset < acpi::kGpe0 + 2)
        return byte_of(gpe_status_, offset - acpi::kGpe0);
    if (offset >= acpi::kGpe0 + 2 && offset < acpi::kGpe0 + 4)
        return byte_of(gpe_enable_, offset - acpi::kGpe0 - 2);
    return 0;
}

bool AcpiFixedHardware::write(unsigned offset, uint8_t value, uint64_t now_ns) {
    advance(now_ns);
    if (offset < acpi::kPm1Event + 2) {
        status_ &= static_cast<uint16_t>(~(unsigned{value} << (8 * offset)));
    } else if (offset < acpi::kPm1Event + 4) {
        enable_ = with_byte(enable_, offset - 2, value) & acpi::pm1_enable::kWritable;
    } else if (offset < acpi::kPm1Control + 2) {
        const uint16_t written = with_byte(control_, offset - acpi::kPm1Control, value);
        control_ = written & acpi::pm1_control::kWritable;
        const unsigned type =
            (written & acpi::pm1_control::kSleepType) >> acpi::pm1_control::kSleepTypeShift;
        // SLP_EN is write-only and always read as 0.
        return (written & acpi::pm1_control::kSleepEnable) != 0 && (soft_off_types_ >> type & 1) != 0;
    } else if (offset >= acpi::kGpe0 && offset < acpi::kGpe0 + 2) {
        gpe_status_ &= static_cast<uint16_t>(~(unsigned{value} << (8 * (offset - acpi::kGpe0))));
    } else if (offset >= acpi::kGpe0 + 2 && offset < acpi::kGpe0 + 4) {
        gpe_enable_ = with_byte(gpe_enable_, offset - acpi::kGpe0 - 2, value);
    }
    return false;
}

}  // namespace mynah
