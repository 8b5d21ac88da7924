#include "device/chipset/reset_control.h"

namespace mynah {
namespace {

// Reset control register [ICH10 13.7.5].
constexpr uint8_t kSystemReset = 0x02, kResetProcessor = 0x04, kFullReset = 0x08;
constexpr uint8_t kResetControlWritable = kSystemReset | kResetProcessor | kFullReset;

// System control port A [PS/2 TRM].
constexpr uint8_t kFastReset = 0x01, kA20 = 0x02;

}  // namespace

uint64_t ResetControl::read(uint64_t, unsigned) { return register_.load(); }

void ResetControl::write(uint64_t, unsigned, uint64_t value) {
    const uint8_t next = static_cast<uint8_t>(value) & kResetControlWritable;
    const uint8_t before = register_.exchange(next);
    if ((next & kResetProcessor) != 0 && (before & kResetProcessor) == 0) power_.reset();
}

uint64_t SystemControlPortA::read(uint64_t, unsigned) { return register_.load(); }

void SystemControlPortA::write(uint64_t, unsigned, uint64_t value) {
    const uint8_t next = static_cast<uint8_t>(value);
    const uint8_t before = register_.exchange(next);
    a20_.set(A20Gate::kPort92, (next & kA20) != 0);
    if ((next & kFastReset) != 0 && (before & kFastReset) == 0) power_.reset();
}

void SystemControlPortA::reset() {
    register_ = kA20;
    a20_.set(A20Gate::kPort92, true);
}

}  // namespace mynah
