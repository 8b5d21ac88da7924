#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>

namespace mynah {

// A logical unit of a virtio SCSI host.
struct ScsiAddress {
    uint8_t target = 0;
    uint16_t lun = 0;  // at most 16383

    auto operator<=>(const ScsiAddress&) const = default;
};

// As drivers write it [virtio-1.2 5.6.6.1]: 1, the target, the unit by flat or peripheral
// addressing [SAM-5 4.7.7], zeroes. Nothing: it is none, or a well-known unit.
inline std::optional<ScsiAddress> parse_scsi_address(std::span<const uint8_t, 8> bytes) {
    constexpr uint8_t kFlat = 0x40, kMethod = 0xc0;
    if (bytes[0] != 1) return std::nullopt;
    const auto method = static_cast<uint8_t>(bytes[2] & kMethod);
    if (method != kFlat && method != 0) return std::nullopt;
    // By the peripheral method the upper bits are a bus, of which there is one.
    if (method == 0 && (bytes[2] & 0x3f) != 0) return std::nullopt;
    return ScsiAddress{bytes[1], static_cast<uint16_t>((bytes[2] & 0x3f) << 8 | bytes[3])};
}

// The unit's own part, as REPORT LUNS has it: small numbers by the peripheral method, which all
// drivers know.
constexpr uint16_t scsi_lun_field(uint16_t lun) {
    return lun < 256 ? lun : static_cast<uint16_t>(0x4000 | lun);
}

}  // namespace mynah
