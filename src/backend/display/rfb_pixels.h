#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace mynah {

// How a viewer wants pixels [RFC 6143 7.4]. Only true colour.
struct RfbPixelFormat {
    uint8_t bits = 32, depth = 24;
    bool big_endian = false;
    uint16_t red_max = 255, green_max = 255, blue_max = 255;
    uint8_t red_shift = 16, green_shift = 8, blue_shift = 0;

    bool operator==(const RfbPixelFormat&) const = default;
    // 32 bits with 8 for each colour: what the Tight encoding sends as three bytes.
    bool is_compact() const {
        return bits == 32 && depth == 24 && red_max == 255 && green_max == 255 && blue_max == 255;
    }
    size_t bytes() const { return bits / 8u; }

    // From and to the 16 bytes of the protocol; nothing: not one that can be served.
    static std::optional<RfbPixelFormat> parse(std::span<const std::byte, 16> from);
    void append_to(std::vector<std::byte>& out) const;
};

// Appends pixels xxRRGGBBh in that format.
void append_pixels(const RfbPixelFormat& format, std::span<const uint32_t> pixels,
                   std::vector<std::byte>& out);

}  // namespace mynah
