#pragma once

// Mass storage by the bulk-only transport [BOT 1.0].

#include <cstdint>

namespace mynah::usb::storage {

inline constexpr uint8_t kSubclassScsi = 6;
inline constexpr uint8_t kProtocolBulkOnly = 0x50;

// Class requests [BOT 3].
inline constexpr uint8_t kBulkOnlyReset = 0xff;
inline constexpr uint8_t kGetMaxLun = 0xfe;

// Command block wrapper [BOT 5.1]: 31 bytes, little endian.
inline constexpr uint32_t kCommandSignature = 0x43425355;
inline constexpr uint32_t kCommandSize = 31;
inline constexpr uint8_t kCommandDataIn = 0x80;
#pragma pack(push, 1)
struct CommandWrapper {
    uint32_t signature;
    uint32_t tag;
    uint32_t length;  // bytes the host expects to move
    uint8_t flags;
    uint8_t lun;
    uint8_t command_length;  // 1 to 16
    uint8_t command[16];
};
// Command status wrapper [BOT 5.2]: 13 bytes.
struct StatusWrapper {
    uint32_t signature;
    uint32_t tag;
    uint32_t residue;
    uint8_t status;
};
#pragma pack(pop)
static_assert(sizeof(CommandWrapper) == kCommandSize && sizeof(StatusWrapper) == 13);

inline constexpr uint32_t kStatusSignature = 0x53425355;
inline constexpr uint8_t kStatusPassed = 0;
inline constexpr uint8_t kStatusFailed = 1;
inline constexpr uint8_t kStatusPhaseError = 2;

}  // namespace mynah::usb::storage
