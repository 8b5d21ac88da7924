#pragma once

#include <cstdint>

// The Bochs display interface: registers of 16 bits behind an index [VBE_DISPI].
namespace mynah::dispi {

inline constexpr uint16_t kIndexPort = 0x1ce;  // data at 1CFh and, aligned, at 1D0h
inline constexpr unsigned kPorts = 4;          // 1CEh to 1D1h

enum Index : unsigned {
    kId = 0,
    kXRes = 1,
    kYRes = 2,
    kBpp = 3,
    kEnable = 4,
    kBank = 5,
    kVirtualWidth = 6,
    kVirtualHeight = 7,
    kXOffset = 8,
    kYOffset = 9,
    kMemory64K = 10,
    kRegisters = 11,
};

inline constexpr uint16_t kIdFirst = 0xb0c0, kIdLatest = 0xb0c5;

namespace enable {
inline constexpr uint16_t kEnabled = 0x01, kGetCapabilities = 0x02, kEightBitDac = 0x20,
                          kLinear = 0x40, kKeepMemory = 0x80;
}

}  // namespace mynah::dispi
