#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "backend/display/surface.h"

namespace mynah::testing {

using ByteVector = std::vector<std::byte>;

inline ByteVector bytes_of(std::initializer_list<unsigned> values) {
    ByteVector bytes;
    for (const unsigned value : values) bytes.push_back(static_cast<std::byte>(value));
    return bytes;
}
inline ByteVector bytes_of(const std::string& text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}
inline void append16(ByteVector& to, unsigned value) {
    to.push_back(static_cast<std::byte>(value >> 8));
    to.push_back(static_cast<std::byte>(value));
}
inline void append32(ByteVector& to, uint32_t value) {
    append16(to, value >> 16);
    append16(to, value & 0xffff);
}

// What a viewer makes of a server's bytes: a second implementation of the protocol. It reads by a
// function that gives exactly as many bytes as it asks for, or fails the test.
class RfbReader {
  public:
    using Read = std::function<ByteVector(size_t)>;

    explicit RfbReader(Read read) : read_(std::move(read)) {}
    ~RfbReader() {
        for (auto& [number, stream] : streams_) inflateEnd(&stream);
    }

    unsigned number(unsigned bytes) {
        uint32_t value = 0;
        for (const std::byte byte : read_(bytes)) value = value << 8 | static_cast<uint32_t>(byte);
        return value;
    }
    std::string text(size_t size) {
        std::string result;
        for (const std::byte byte : read_(size)) result.push_back(static_cast<char>(byte));
        return result;
    }

    // ServerInit, in the server's own pixel format.
    void server_init() {
        const unsigned width = number(2), height = number(2);
        picture.resize(width, height);
        EXPECT_EQ(number(1), 32u);
        EXPECT_EQ(number(1), 24u);
        EXPECT_EQ(number(2), 1u);  // little-endian, true colour
        for (int i = 0; i < 3; ++i) EXPECT_EQ(number(2), 255u);
        EXPECT_EQ(number(3), 0x100800u);
        read_(3);
        name = text(number(4));
    }

    // One message; a framebuffer update changes the picture.
    void message() {
        const unsigned type = number(1);
        if (type == 3) {
            read_(3);
            cut_text = text(number(4));
            return;
        }
        ASSERT_EQ(type, 0u);
        read_(1);
        rects.clear();
        for (unsigned count = number(2); count > 0; --count) rectangle();
        ++updates;
    }

    Surface picture;
    std::string name, cut_text;
    std::vector<Rect> rects;  // of the last update
    bool extended_keys = false;
    unsigned updates = 0, resizes = 0;
    unsigned size_rects = 0;  // extended desktop sizes
    int size_status = -1;     // of the last answer to a wish for a size

  private:
    void rectangle() {
        Rect rect;
        rect.x = number(2);
        rect.y = number(2);
        rect.width = number(2);
        rect.height = number(2);
        switch (static_cast<int32_t>(number(4))) {
            case 0:
                raw(rect);
                break;
            case 7:
                tight(rect);
                break;
            case -223:
                picture.resize(rect.width, rect.height);
                ++resizes;
                return;
            case -308: {
                const bool answer = rect.x == 1;
                if (answer) {
                    size_status = static_cast<int>(rect.y);
                } else {
                    resizes += picture.width() != rect.width || picture.height() != rect.height;
                    picture.resize(rect.width, rect.height);
                }
                EXPECT_EQ(number(4), 1u << 24) << "one screen";
                EXPECT_EQ(number(4), 0u);
                EXPECT_EQ(number(4), 0u);
                EXPECT_EQ(number(2), rect.width);
                EXPECT_EQ(number(2), rect.height);
                EXPECT_EQ(number(4), 0u);
                ++size_rects;
                return;
            }
            case -258:
                extended_keys = true;
                return;
            default:
                ADD_FAILURE() << "unknown encoding";
                return;
        }
        rects.push_back(rect);
    }
    void put(const Rect& rect, uint32_t index, uint32_t pixel) {
        const uint32_t x = rect.x + index % rect.width, y = rect.y + index / rect.width;
        ASSERT_LT(x, picture.width());
        ASSERT_LT(y, picture.height());
        picture.row(y)[x] = pixel;
    }
    void raw(const Rect& rect) {
        for (uint32_t i = 0; i < rect.width * rect.height; ++i) {
            const ByteVector p = read_(4);
            put(rect, i, uint32_t(p[0]) | uint32_t(p[1]) << 8 | uint32_t(p[2]) << 16);
        }
    }
    ByteVector inflated(unsigned stream, size_t size) {
        if (size < 12) return read_(size);
        size_t length = 0;
        for (unsigned i = 0; i < 3; ++i) {
            const unsigned byte = number(1);
            length |= size_t{i == 2 ? byte : byte & 0x7f} << (7 * i);
            if (i < 2 && byte < 0x80) break;
        }
        ByteVector from = read_(length), to(size);
        auto [at, fresh] = streams_.try_emplace(stream);
        if (fresh) inflateInit(&at->second);
        at->second.next_in = reinterpret_cast<Bytef*>(from.data());
        at->second.avail_in = static_cast<uInt>(from.size());
        at->second.next_out = reinterpret_cast<Bytef*>(to.data());
        at->second.avail_out = static_cast<uInt>(to.size());
        EXPECT_EQ(inflate(&at->second, Z_SYNC_FLUSH), Z_OK);
        EXPECT_EQ(at->second.avail_out, 0u);
        EXPECT_EQ(at->second.avail_in, 0u);
        return to;
    }
    void tight(const Rect& rect) {
        const uint32_t pixels = rect.width * rect.height;
        ASSERT_LE(rect.width, 2048u);
        const unsigned control = number(1);
        kinds[control >> 4]++;
        if (control == 0x80) {
            const uint32_t colour = number(3);
            for (uint32_t i = 0; i < pixels; ++i) put(rect, i, colour);
            return;
        }
        const unsigned stream = control >> 4 & 3;
        if ((control & 0x40) == 0) {
            const ByteVector data = inflated(stream, size_t{3} * pixels);
            for (uint32_t i = 0; i < pixels; ++i) {
                put(rect, i,
                    uint32_t(data[3 * i]) << 16 | uint32_t(data[3 * i + 1]) << 8 |
                        uint32_t(data[3 * i + 2]));
            }
            return;
        }
        ASSERT_EQ(number(1), 1u);  // the palette filter
        std::vector<uint32_t> palette(number(1) + 1);
        for (uint32_t& colour : palette) colour = number(3);
        if (palette.size() == 2) {
            const size_t line = (rect.width + 7) / 8;
            const ByteVector data = inflated(stream, line * rect.height);
            for (uint32_t i = 0; i < pixels; ++i) {
                const uint32_t x = i % rect.width, y = i / rect.width;
                put(rect, i, palette[unsigned(data[y * line + x / 8]) >> (7 - x % 8) & 1]);
            }
            return;
        }
        const ByteVector data = inflated(stream, pixels);
        for (uint32_t i = 0; i < pixels; ++i) {
            ASSERT_LT(unsigned(data[i]), palette.size());
            put(rect, i, palette[unsigned(data[i])]);
        }
    }

    Read read_;
    std::map<unsigned, z_stream> streams_;

  public:
    std::map<unsigned, unsigned> kinds;  // of Tight rectangles, by the control byte's upper half
};

// Messages a viewer sends.
inline ByteVector update_request(bool incremental, unsigned width, unsigned height) {
    ByteVector bytes = bytes_of({3, incremental ? 1u : 0u, 0, 0, 0, 0});
    append16(bytes, width);
    append16(bytes, height);
    return bytes;
}
inline ByteVector encodings(std::initializer_list<int32_t> numbers) {
    ByteVector bytes = bytes_of({2, 0});
    append16(bytes, static_cast<unsigned>(numbers.size()));
    for (const int32_t number : numbers) append32(bytes, static_cast<uint32_t>(number));
    return bytes;
}
inline ByteVector key_event(uint32_t symbol, bool pressed) {
    ByteVector bytes = bytes_of({4, pressed ? 1u : 0u, 0, 0});
    append32(bytes, symbol);
    return bytes;
}
inline ByteVector pointer_event(unsigned buttons, unsigned x, unsigned y) {
    ByteVector bytes = bytes_of({5, buttons});
    append16(bytes, x);
    append16(bytes, y);
    return bytes;
}
inline ByteVector cut_text(const std::string& text) {
    ByteVector bytes = bytes_of({6, 0, 0, 0});
    append32(bytes, static_cast<uint32_t>(text.size()));
    const ByteVector body = bytes_of(text);
    bytes.insert(bytes.end(), body.begin(), body.end());
    return bytes;
}

}  // namespace mynah::testing
