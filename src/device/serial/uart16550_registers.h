#pragma once

#include <cstdint>

// Registers of the 16550A in the data sheet's order [16550 8.0], by offset.
namespace mynah::uart {

inline constexpr unsigned kData = 0;      // RBR, THR; divisor low with DLAB
inline constexpr unsigned kIer = 1;       // divisor high with DLAB
inline constexpr unsigned kIirFcr = 2;    // read IIR, write FCR
inline constexpr unsigned kLcr = 3;
inline constexpr unsigned kMcr = 4;
inline constexpr unsigned kLsr = 5;
inline constexpr unsigned kMsr = 6;
inline constexpr unsigned kScratch = 7;
inline constexpr unsigned kRegisters = 8;

namespace ier {  // [16550 8.7]
inline constexpr uint8_t kReceived = 0x01, kTransmitEmpty = 0x02, kLineStatus = 0x04,
                         kModemStatus = 0x08, kWritable = 0x0f;
}
namespace iir {  // [16550 8.6, table III]
inline constexpr uint8_t kNone = 0x01, kModemStatus = 0x00, kTransmitEmpty = 0x02, kReceived = 0x04,
                         kLineStatus = 0x06, kTimeout = 0x0c, kFifosEnabled = 0xc0;
}
namespace fcr {  // [16550 8.5]
inline constexpr uint8_t kEnable = 0x01, kClearReceive = 0x02, kClearTransmit = 0x04,
                         kTrigger = 0xc0;
inline constexpr unsigned kTriggerShift = 6;
}  // namespace fcr
namespace lcr {  // [16550 8.1]
inline constexpr uint8_t kWordLength = 0x03, kStopBits = 0x04, kParity = 0x08, kBreak = 0x40,
                         kDlab = 0x80;
}
namespace mcr {  // [16550 8.8]
inline constexpr uint8_t kDtr = 0x01, kRts = 0x02, kOut1 = 0x04, kOut2 = 0x08, kLoop = 0x10,
                         kWritable = 0x1f;
}
namespace lsr {  // [16550 8.4]
inline constexpr uint8_t kDataReady = 0x01, kOverrun = 0x02, kParityError = 0x04,
                         kFramingError = 0x08, kBreak = 0x10, kTransmitEmpty = 0x20, kIdle = 0x40,
                         kFifoError = 0x80;
inline constexpr uint8_t kErrors = kOverrun | kParityError | kFramingError | kBreak;
}  // namespace lsr
namespace msr {  // [16550 8.9]
inline constexpr uint8_t kDeltaCts = 0x01, kDeltaDsr = 0x02, kTrailingRi = 0x04, kDeltaDcd = 0x08,
                         kCts = 0x10, kDsr = 0x20, kRi = 0x40, kDcd = 0x80;
}

}  // namespace mynah::uart
