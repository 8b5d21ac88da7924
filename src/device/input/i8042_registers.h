#pragma once

#include <cstdint>

// Ports and commands of the keyboard controller of a PC/AT [8042].
namespace mynah::i8042 {

inline constexpr unsigned kDataPort = 0, kCommandPort = 4;  // from 60h on

namespace status {
inline constexpr uint8_t kOutputFull = 0x01, kInputFull = 0x02, kSystem = 0x04, kCommand = 0x08,
                         kUnlocked = 0x10, kAuxiliary = 0x20, kTimeout = 0x40, kParity = 0x80;
}
namespace config {  // the command byte
inline constexpr uint8_t kKeyboardInterrupt = 0x01, kAuxInterrupt = 0x02, kSystem = 0x04,
                         kKeyboardDisable = 0x10, kAuxDisable = 0x20, kTranslate = 0x40;
}
namespace output_port {
inline constexpr uint8_t kNotReset = 0x01, kA20 = 0x02, kKeyboardFull = 0x10, kAuxFull = 0x20;
}

enum class Command : uint8_t {
    kReadMemory = 0x20,   // to 3Fh; byte 0 is the command byte
    kWriteMemory = 0x60,  // to 7Fh
    kDisableAux = 0xa7,
    kEnableAux = 0xa8,
    kTestAux = 0xa9,
    kSelfTest = 0xaa,
    kTestKeyboard = 0xab,
    kDisableKeyboard = 0xad,
    kEnableKeyboard = 0xae,
    kReadInputPort = 0xc0,
    kReadOutputPort = 0xd0,
    kWriteOutputPort = 0xd1,
    kWriteKeyboardOutput = 0xd2,
    kWriteAuxOutput = 0xd3,
    kWriteAux = 0xd4,
    kPulse = 0xf0,  // to FFh; bit 0 clear resets the processor
};

inline constexpr uint8_t kSelfTestPassed = 0x55, kInterfaceGood = 0x00, kClockStuckLow = 0x01,
                         kResend = 0xfe;

}  // namespace mynah::i8042
