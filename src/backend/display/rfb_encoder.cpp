#include "backend/display/rfb_encoder.h"

#include <zlib.h>

#include <algorithm>

#include "base/check.h"

namespace mynah {
namespace {

// What one rectangle of the Tight encoding may be: 2048 wide at most, and small enough that a
// viewer has its pixels in a buffer [rfbproto 7.7.6].
constexpr uint32_t kTightWidth = 2048, kTightPixels = 65536;
constexpr size_t kPaletteMost = 64;
// Shorter data is sent as it is, with no length before it.
constexpr size_t kCompressFrom = 12;

constexpr uint8_t kFill = 0x80, kFilterFollows = 0x40, kPaletteFilter = 1;

void append8(std::vector<std::byte>& out, unsigned value) {
    out.push_back(static_cast<std::byte>(value));
}

void append_header(const Rect& rect, RfbEncoder::Encoding encoding, std::vector<std::byte>& out) {
    for (const uint32_t value : {rect.x, rect.y, rect.width, rect.height}) {
        append8(out, value >> 8);
        append8(out, value & 0xff);
    }
    const auto number = static_cast<uint32_t>(encoding);
    for (int shift = 24; shift >= 0; shift -= 8) append8(out, number >> shift & 0xff);
}

// Seven bits a byte, the top bit says that more follow.
void append_compact_length(std::vector<std::byte>& out, size_t length) {
    if (length < 0x80) {
        append8(out, static_cast<unsigned>(length));
    } else if (length < 0x4000) {
        append8(out, (length & 0x7f) | 0x80);
        append8(out, static_cast<unsigned>(length >> 7));
    } else {
        append8(out, (length & 0x7f) | 0x80);
        append8(out, (length >> 7 & 0x7f) | 0x80);
        append8(out, static_cast<unsigned>(length >> 14));
    }
}

}  // namespace

class RfbEncoder::Deflater {
  public:
    Deflater() { CHECK(deflateInit(&stream_, kLevel) == Z_OK); }
    ~Deflater() { deflateEnd(&stream_); }
    Deflater(const Deflater&) = delete;
    Deflater& operator=(const Deflater&) = delete;

    void compress(std::span<const std::byte> from, std::vector<std::byte>& to) {
        to.resize(deflateBound(&stream_, from.size()) + 64);
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data()));
        stream_.avail_in = static_cast<uInt>(from.size());
        stream_.next_out = reinterpret_cast<Bytef*>(to.data());
        stream_.avail_out = static_cast<uInt>(to.size());
        CHECK(deflate(&stream_, Z_SYNC_FLUSH) == Z_OK && stream_.avail_in == 0 &&
              stream_.avail_out > 0);
        to.resize(to.size() - stream_.avail_out);
    }

  private:
    static constexpr int kLevel = 2;  // the host's time is the guest's
    z_stream stream_{};
};

RfbEncoder::RfbEncoder() = default;
RfbEncoder::~RfbEncoder() = default;

unsigned RfbEncoder::encode(const Surface& surface, const Rect& rect, std::vector<std::byte>& out) {
    if (encoding_ == Encoding::kRaw) {
        encode_raw(surface, rect, out);
        return 1;
    }
    unsigned count = 0;
    const uint32_t right = rect.x + rect.width, bottom = rect.y + rect.height;
    for (uint32_t x = rect.x; x < right; x += kTightWidth) {
        const uint32_t width = std::min(kTightWidth, right - x);
        const uint32_t lines = std::max(1u, kTightPixels / width);
        for (uint32_t y = rect.y; y < bottom; y += lines) {
            encode_tight(surface, {x, y, width, std::min(lines, bottom - y)}, out);
            ++count;
        }
    }
    return count;
}

void RfbEncoder::encode_raw(const Surface& surface, const Rect& rect, std::vector<std::byte>& out) {
    append_header(rect, Encoding::kRaw, out);
    for (uint32_t y = rect.y; y < rect.y + rect.height; ++y) {
        append_pixels(format_, surface.row(y).subspan(rect.x, rect.width), out);
    }
}

// The colours of the part, in the order of their appearance; false: too many to be worth it.
bool RfbEncoder::find_palette(const Surface& surface, const Rect& rect) {
    palette_.clear();
    uint32_t last = ~0u;  // no pixel: their upper byte is zero
    for (uint32_t y = rect.y; y < rect.y + rect.height; ++y) {
        for (const uint32_t pixel : surface.row(y).subspan(rect.x, rect.width)) {
            if (pixel == last) continue;
            last = pixel;
            if (std::find(palette_.begin(), palette_.end(), pixel) != palette_.end()) continue;
            if (palette_.size() == kPaletteMost) return false;
            palette_.push_back(pixel);
        }
    }
    return true;
}

void RfbEncoder::append_tight_pixel(uint32_t pixel, std::vector<std::byte>& out) const {
    if (format_.is_compact()) {
        for (const unsigned shift : {16u, 8u, 0u}) append8(out, pixel >> shift & 0xff);
    } else {
        append_pixels(format_, std::span(&pixel, 1), out);
    }
}

// Lines of bits, the first pixel in the highest.
void RfbEncoder::pack_two_colours(const Surface& surface, const Rect& rect) {
    for (uint32_t y = rect.y; y < rect.y + rect.height; ++y) {
        unsigned byte = 0, bits = 0;
        for (const uint32_t pixel : surface.row(y).subspan(rect.x, rect.width)) {
            byte = byte << 1 | (pixel == palette_[1] ? 1 : 0);
            if (++bits == 8) {
                append8(packed_, byte & 0xff);
                byte = bits = 0;
            }
        }
        if (bits > 0) append8(packed_, byte << (8 - bits) & 0xff);
    }
}

void RfbEncoder::pack_indexed(const Surface& surface, const Rect& rect) {
    uint32_t last = palette_[0];
    unsigned index = 0;
    for (uint32_t y = rect.y; y < rect.y + rect.height; ++y) {
        for (const uint32_t pixel : surface.row(y).subspan(rect.x, rect.width)) {
            if (pixel != last) {
                last = pixel;
                index = static_cast<unsigned>(std::find(palette_.begin(), palette_.end(), pixel) -
                                              palette_.begin());
            }
            append8(packed_, index);
        }
    }
}

void RfbEncoder::pack_full_colour(const Surface& surface, const Rect& rect) {
    for (uint32_t y = rect.y; y < rect.y + rect.height; ++y) {
        const auto row = surface.row(y).subspan(rect.x, rect.width);
        if (!format_.is_compact()) {
            append_pixels(format_, row, packed_);
        } else {
            for (const uint32_t pixel : row) append_tight_pixel(pixel, packed_);
        }
    }
}

void RfbEncoder::append_compressed(Stream stream, std::vector<std::byte>& out) {
    if (packed_.size() < kCompressFrom) {
        out.insert(out.end(), packed_.begin(), packed_.end());
        return;
    }
    if (streams_[stream] == nullptr) streams_[stream] = std::make_unique<Deflater>();
    streams_[stream]->compress(packed_, compressed_);
    append_compact_length(out, compressed_.size());
    out.insert(out.end(), compressed_.begin(), compressed_.end());
}

// [rfbproto 7.7.6]: one colour, two, few, or all of them.
void RfbEncoder::encode_tight(const Surface& surface, const Rect& rect,
                              std::vector<std::byte>& out) {
    append_header(rect, Encoding::kTight, out);
    packed_.clear();
    if (!find_palette(surface, rect)) {
        append8(out, kFullColour << 4);
        pack_full_colour(surface, rect);
        append_compressed(kFullColour, out);
        return;
    }
    if (palette_.size() == 1) {
        append8(out, kFill);
        append_tight_pixel(palette_[0], out);
        return;
    }
    const Stream stream = palette_.size() == 2 ? kTwoColours : kIndexed;
    append8(out, kFilterFollows | stream << 4);
    append8(out, kPaletteFilter);
    append8(out, static_cast<unsigned>(palette_.size() - 1));
    for (const uint32_t colour : palette_) append_tight_pixel(colour, out);
    if (stream == kTwoColours) {
        pack_two_colours(surface, rect);
    } else {
        pack_indexed(surface, rect);
    }
    append_compressed(stream, out);
}

}  // namespace mynah
