#pragma once

#include <cstdint>

// Command words of the 8259A [8259A, initialization and operation command words].
namespace mynah::pic {

namespace icw1 {
inline constexpr uint8_t kNeedsIcw4 = 0x01, kSingle = 0x02, kIsIcw1 = 0x10;
}
namespace icw2 {
inline constexpr uint8_t kVectorBase = 0xf8;
}
namespace icw4 {
inline constexpr uint8_t kAutoEoi = 0x02, kSpecialFullyNested = 0x10;
}
namespace ocw2 {
inline constexpr uint8_t kLevel = 0x07, kEoi = 0x20, kSpecific = 0x40, kRotate = 0x80;
}
namespace ocw3 {
inline constexpr uint8_t kReadIsr = 0x01, kReadRegister = 0x02, kPoll = 0x04, kIsOcw3 = 0x08,
                         kSpecialMask = 0x20, kEnableSpecialMask = 0x40;
}
inline constexpr uint8_t kPollPending = 0x80;
inline constexpr unsigned kSpuriousInput = 7;
inline constexpr unsigned kCascadeInput = 2;  // of the master in a PC

// ELCR: inputs that may be level-triggered [ICH10 13.4.12]: not 0, 1, 2; not 8 and 13.
inline constexpr uint8_t kMasterElcrMask = 0xf8, kSlaveElcrMask = 0xde;

}  // namespace mynah::pic
