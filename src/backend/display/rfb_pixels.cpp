#include "backend/display/rfb_pixels.h"

#include <cstring>

namespace mynah {
namespace {

uint16_t big16(std::span<const std::byte, 16> from, size_t at) {
    return static_cast<uint16_t>(static_cast<unsigned>(from[at]) << 8 |
                                 static_cast<unsigned>(from[at + 1]));
}

uint32_t part(uint32_t value, uint16_t max, uint8_t shift) {
    return ((value * max + 127) / 255) << shift;
}

}  // namespace

std::optional<RfbPixelFormat> RfbPixelFormat::parse(std::span<const std::byte, 16> from) {
    const auto byte = [&](size_t at) { return static_cast<uint8_t>(from[at]); };
    if (byte(3) == 0) return std::nullopt;  // a colour map
    RfbPixelFormat format{.bits = byte(0),
                          .depth = byte(1),
                          .big_endian = byte(2) != 0,
                          .red_max = big16(from, 4),
                          .green_max = big16(from, 6),
                          .blue_max = big16(from, 8),
                          .red_shift = byte(10),
                          .green_shift = byte(11),
                          .blue_shift = byte(12)};
    if (format.bits != 8 && format.bits != 16 && format.bits != 32) return std::nullopt;
    for (const uint8_t shift : {format.red_shift, format.green_shift, format.blue_shift}) {
        if (shift >= format.bits) return std::nullopt;
    }
    return format;
}

void RfbPixelFormat::append_to(std::vector<std::byte>& out) const {
    const auto add = [&](unsigned value) { out.push_back(static_cast<std::byte>(value)); };
    add(bits);
    add(depth);
    add(big_endian ? 1 : 0);
    add(1);
    for (const uint16_t max : {red_max, green_max, blue_max}) {
        add(max >> 8);
        add(max & 0xff);
    }
    for (const uint8_t shift : {red_shift, green_shift, blue_shift}) add(shift);
    for (int i = 0; i < 3; ++i) add(0);
}

void append_pixels(const RfbPixelFormat& format, std::span<const uint32_t> pixels,
                   std::vector<std::byte>& out) {
    if (format == RfbPixelFormat()) {
        const auto bytes = std::as_bytes(pixels);
        out.insert(out.end(), bytes.begin(), bytes.end());
        return;
    }
    const size_t size = format.bytes();
    size_t at = out.size();
    out.resize(at + pixels.size() * size);
    for (const uint32_t pixel : pixels) {
        const uint32_t value = part(pixel >> 16 & 0xff, format.red_max, format.red_shift) |
                               part(pixel >> 8 & 0xff, format.green_max, format.green_shift) |
                               part(pixel & 0xff, format.blue_max, format.blue_shift);
        for (size_t i = 0; i < size; ++i) {
            const size_t shift = 8 * (format.big_endian ? size - 1 - i : i);
            out[at++] = static_cast<std::byte>(value >> shift);
        }
    }
}

}  // namespace mynah
