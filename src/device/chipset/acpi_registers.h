#pragma once

#include <cstdint>

// Fixed hardware registers of ACPI [ACPI 6.4 4.8.3] as one block of ports, laid out as PC chipsets
// do. The FADT tells the guest where each lies.
namespace mynah::acpi {

// Offsets in the block that AcpiPowerManagement answers.
inline constexpr unsigned kPm1Event = 0x00;    // PM1a_EVT_BLK, 4 bytes: status, enable
inline constexpr unsigned kPm1Control = 0x04;  // PM1a_CNT_BLK, 2 bytes
inline constexpr unsigned kPmTimer = 0x08;     // PM_TMR_BLK, 4 bytes
inline constexpr unsigned kGpe0 = 0x0c;        // GPE0_BLK: 2 bytes status, 2 bytes enable
inline constexpr unsigned kBlockBytes = 0x10;
inline constexpr unsigned kGpe0Bytes = 4;

namespace pm1_status {  // write one to clear [ACPI 6.4 4.8.3.1.1]
inline constexpr uint16_t kTimer = 1u << 0, kBusMaster = 1u << 4, kGlobal = 1u << 5,
                          kPowerButton = 1u << 8, kSleepButton = 1u << 9, kRtc = 1u << 10,
                          kWake = 1u << 15;
inline constexpr uint16_t kClearable =
    kTimer | kBusMaster | kGlobal | kPowerButton | kSleepButton | kRtc | kWake;
}  // namespace pm1_status

namespace pm1_enable {  // [ACPI 6.4 4.8.3.1.2]
inline constexpr uint16_t kTimer = 1u << 0, kGlobal = 1u << 5, kPowerButton = 1u << 8,
                          kSleepButton = 1u << 9, kRtc = 1u << 10;
inline constexpr uint16_t kWritable = kTimer | kGlobal | kPowerButton | kSleepButton | kRtc;
}  // namespace pm1_enable

namespace pm1_control {  // [ACPI 6.4 4.8.3.2.1]
inline constexpr uint16_t kSciEnable = 1u << 0, kBusMasterReload = 1u << 1,
                          kGlobalRelease = 1u << 2, kSleepType = 7u << 10, kSleepEnable = 1u << 13;
inline constexpr unsigned kSleepTypeShift = 10;
inline constexpr uint16_t kWritable = kSciEnable | kBusMasterReload | kSleepType;
}  // namespace pm1_control

// SLP_TYPa of \_S5 in the DSDT: soft off.
inline constexpr uint16_t kSleepTypeSoftOff = 5;
// Written to the reset register (FADT RESET_REG/RESET_VALUE): port CF9h, full reset [ICH10 13.7.5].
inline constexpr uint8_t kResetValue = 0x06;

inline constexpr uint64_t kPmTimerHz = 3579545;

}  // namespace mynah::acpi
