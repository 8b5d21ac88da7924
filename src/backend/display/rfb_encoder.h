#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend/display/rfb_pixels.h"
#include "backend/display/surface.h"

struct z_stream_s;

namespace mynah {

// Turns parts of a picture into rectangles of a framebuffer update. It keeps the compression's
// history, so one encoder serves one viewer from beginning to end.
class RfbEncoder {
  public:
    enum class Encoding : int32_t { kRaw = 0, kTight = 7 };

    RfbEncoder();
    ~RfbEncoder();

    void set_format(const RfbPixelFormat& format) { format_ = format; }
    const RfbPixelFormat& format() const { return format_; }
    void set_encoding(Encoding encoding) { encoding_ = encoding; }

    // Appends rectangles with their headers; returns how many. `rect` lies within the surface.
    unsigned encode(const Surface& surface, const Rect& rect, std::vector<std::byte>& out);

  private:
    // Tight has four streams; one for each kind of data that is sent.
    enum Stream : unsigned { kFullColour, kTwoColours, kIndexed, kStreams };
    class Deflater;

    void encode_raw(const Surface& surface, const Rect& rect, std::vector<std::byte>& out);
    void encode_tight(const Surface& surface, const Rect& rect, std::vector<std::byte>& out);
    bool find_palette(const Surface& surface, const Rect& rect);
    void append_tight_pixel(uint32_t pixel, std::vector<std::byte>& out) const;
    void append_compressed(Stream stream, std::vector<std::byte>& out);
    void pack_two_colours(const Surface& surface, const Rect& rect);
    void pack_indexed(const Surface& surface, const Rect& rect);
    void pack_full_colour(const Surface& surface, const Rect& rect);

    RfbPixelFormat format_;
    Encoding encoding_ = Encoding::kRaw;
    std::array<std::unique_ptr<Deflater>, kStreams> streams_;
    std::vector<uint32_t> palette_;
    std::vector<std::byte> packed_, compressed_;
};

}  // namespace mynah
