#pragma once

#include <cstdint>

// The watchdog timer of the Intel 6300ESB I/O controller hub [6300ESB 16].
namespace mynah::i6300esb {

// Configuration space [6300ESB 16.4].
inline constexpr unsigned kConfig = 0x60;            // WDT_CONFIG, 16 bits
inline constexpr uint16_t kConfigInterrupt = 0x3;    // what the first stage raises; 3: nothing
inline constexpr uint16_t kConfigFast = 1 << 2;      // count microseconds instead of milliseconds
inline constexpr uint16_t kConfigNoOutput = 1 << 5;  // the second stage does nothing outside
inline constexpr uint16_t kConfigWritable = kConfigInterrupt | kConfigFast | kConfigNoOutput;

inline constexpr unsigned kLock = 0x68;         // WDT_LOCK, 8 bits
inline constexpr uint8_t kLockLocked = 1 << 0;  // until the next reset
inline constexpr uint8_t kLockEnable = 1 << 1;
inline constexpr uint8_t kLockFreeRunning = 1 << 2;  // the first stage alone, over and over
inline constexpr uint8_t kLockWritable = kLockLocked | kLockEnable | kLockFreeRunning;

// Memory-mapped registers [6300ESB 16.5], at BAR 0.
inline constexpr uint64_t kWindow = 16;
inline constexpr uint64_t kPreload1 = 0x0, kPreload2 = 0x4, kInterruptStatus = 0x8, kReload = 0xc;
inline constexpr uint32_t kPreloadMask = 0xfffff;
inline constexpr uint32_t kReloadNow = 1 << 8, kReloadTimeout = 1 << 9;  // the second by writing 1
// Written to kReload one after the other, they let the next write of a register through.
inline constexpr uint32_t kUnlock1 = 0x80, kUnlock2 = 0x86;

// The 33 MHz PCI clock through a prescaler of 2^15, or 2^5 [6300ESB 16.4.1.16]; preloads count
// these.
inline constexpr uint64_t kClockHz = 33'333'333;
inline constexpr unsigned kSlowShift = 15, kFastShift = 5;

}  // namespace mynah::i6300esb
