#pragma once

#include <cstdint>

// Commands and status of Intel's 28F flash memories of the basic command set [28F 4].
namespace mynah::flash {

enum class Command : uint8_t {
    kProgram = 0x40,
    kProgramAlternate = 0x10,
    kErase = 0x20,
    kClearStatus = 0x50,
    kReadStatus = 0x70,
    kReadId = 0x90,
    kReadCfi = 0x98,
    kConfirm = 0xd0,
    kReadArray = 0xff,
};
namespace status {
inline constexpr uint8_t kReady = 0x80, kEraseError = 0x20, kProgramError = 0x10;
}
inline constexpr uint8_t kManufacturer = 0x89, kDevice = 0x18;
inline constexpr uint64_t kBlockBytes = 4096;

}  // namespace mynah::flash
