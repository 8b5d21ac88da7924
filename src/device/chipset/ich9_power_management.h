#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "base/mutex.h"
#include "bus/byte_window.h"
#include "bus/io_handler.h"
#include "device/chipset/acpi_power_management.h"
#include "device/chipset/ich9_registers.h"

namespace mynah {

// The 128 ports at PMBASE of an ICH9 [ICH9 13.8.3]: ACPI's fixed hardware, 16 general-purpose
// events, SMI enable and status; and the two APM ports, by which software asks for an SMI [ICH9
// 13.7.1]. Left out: the TCO timer, other sources of SMI, the rest of the GPE block. Any thread.
class Ich9PowerManagement final : public IoHandler {
  public:
    // management_mode: processors have system management mode. If not, registers say from the start
    // that software set up SMIs, so that firmware does not wait for one.
    Ich9PowerManagement(AcpiPowerManagement& fixed, bool management_mode);

    // Called on the thread of the vCPU that wrote the APM control port, with no lock held.
    void on_smi(std::function<void()> told) { smi_ = std::move(told); }

    uint64_t read(uint64_t offset, unsigned size) override EXCLUDES(mutex_);
    void write(uint64_t offset, unsigned size, uint64_t value) override EXCLUDES(mutex_);
    IoHandler& apm_ports() { return apm_ports_; }  // two ports, B2h on a PC

    // The LPC bridge's SMI_LOCK: the global enable can no longer be changed.
    void lock_smi() { smi_locked_ = true; }
    void reset() EXCLUDES(mutex_);

  private:
    uint8_t read_byte(unsigned offset) EXCLUDES(mutex_);
    void write_byte(unsigned offset, uint8_t value) EXCLUDES(mutex_);
    uint8_t read_apm(unsigned offset);
    void write_apm(unsigned offset, uint8_t value) EXCLUDES(mutex_);

    AcpiPowerManagement& fixed_;
    const bool management_mode_;
    std::function<void()> smi_;
    ByteWindow<Ich9PowerManagement> apm_ports_;
    std::atomic<uint8_t> apm_control_{0}, apm_status_{0};
    std::atomic<bool> smi_locked_{false};
    Mutex mutex_;
    uint32_t smi_enable_ GUARDED_BY(mutex_) = 0;
    uint32_t smi_status_ GUARDED_BY(mutex_) = 0;
};

}  // namespace mynah
