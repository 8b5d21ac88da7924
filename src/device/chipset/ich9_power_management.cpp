#include "device/chipset/ich9_power_management.h"

namespace mynah {
namespace {

namespace pm = ich9::pm;

// GPE bits 0 to 15 are there, as AcpiFixedHardware has them: two bytes of status, two of enables.
constexpr unsigned kGpeBytes = 2;

}  // namespace

Ich9PowerManagement::Ich9PowerManagement(AcpiPowerManagement& fixed, bool management_mode)
    : fixed_(fixed),
      management_mode_(management_mode),
      apm_ports_(*this, &Ich9PowerManagement::read_apm, &Ich9PowerManagement::write_apm) {
    reset();
}

uint8_t Ich9PowerManagement::read_byte(unsigned offset) {
    if (offset - pm::kGpe0Status < kGpeBytes)
        return static_cast<uint8_t>(fixed_.read(acpi::kGpe0 + (offset - pm::kGpe0Status), 1));
    if (offset - pm::kGpe0Enable < kGpeBytes) {
        return static_cast<uint8_t>(
            fixed_.read(acpi::kGpe0 + kGpeBytes + (offset - pm::kGpe0Enable), 1));
    }
    MutexLock lock(mutex_);
    if (offset - pm::kSmiEnable < 4)
        return static_cast<uint8_t>(smi_enable_ >> (8 * (offset - pm::kSmiEnable)));
    if (offset - pm::kSmiStatus < 4)
        return static_cast<uint8_t>(smi_status_ >> (8 * (offset - pm::kSmiStatus)));
    return 0;
}

void Ich9PowerManagement::write_byte(unsigned offset, uint8_t value) {
    if (offset - pm::kGpe0Status < kGpeBytes) {
        fixed_.write(acpi::kGpe0 + (offset - pm::kGpe0Status), 1, value);
    } else if (offset - pm::kGpe0Enable < kGpeBytes) {
        fixed_.write(acpi::kGpe0 + kGpeBytes + (offset - pm::kGpe0Enable), 1, value);
    } else if (offset - pm::kSmiEnable < 4) {
        const unsigned shift = 8 * (offset - pm::kSmiEnable);
        MutexLock lock(mutex_);
        uint32_t mask = pm::kSmiEnableWritable & 0xffu << shift;
        if (smi_locked_) mask &= ~pm::kSmiGlobal;
        if (!management_mode_) mask &= ~pm::kSmiApm;
        smi_enable_ = (smi_enable_ & ~mask) | (uint32_t{value} << shift & mask);
    } else if (offset - pm::kSmiStatus < 4) {
        MutexLock lock(mutex_);
        smi_status_ &= ~(uint32_t{value} << (8 * (offset - pm::kSmiStatus)));
    }
}

uint64_t Ich9PowerManagement::read(uint64_t offset, unsigned size) {
    if (offset + size <= pm::kFixedBytes) return fixed_.read(offset, size);
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i)
        value |= uint64_t{read_byte(static_cast<unsigned>(offset) + i)} << (8 * i);
    return value;
}

void Ich9PowerManagement::write(uint64_t offset, unsigned size, uint64_t value) {
    if (offset + size <= pm::kFixedBytes) {
        fixed_.write(offset, size, value);
        return;
    }
    for (unsigned i = 0; i < size; ++i)
        write_byte(static_cast<unsigned>(offset) + i, static_cast<uint8_t>(value >> (8 * i)));
}

uint8_t Ich9PowerManagement::read_apm(unsigned offset) {
    return offset == 0 ? apm_control_ : apm_status_;
}

void Ich9PowerManagement::write_apm(unsigned offset, uint8_t value) {
    if (offset != 0) {
        apm_status_ = value;
        return;
    }
    apm_control_ = value;
    bool smi = false;
    {
        MutexLock lock(mutex_);
        if ((smi_enable_ & pm::kSmiApm) != 0) {
            smi_status_ |= pm::kSmiApm;
            smi = management_mode_ && (smi_enable_ & pm::kSmiGlobal) != 0;
        }
    }
    if (smi && smi_) smi_();
}

void Ich9PowerManagement::reset() {
    apm_control_ = apm_status_ = 0;
    smi_locked_ = false;
    MutexLock lock(mutex_);
    smi_enable_ = management_mode_ ? 0 : pm::kSmiApm;
    smi_status_ = 0;
}

}  // namespace mynah
