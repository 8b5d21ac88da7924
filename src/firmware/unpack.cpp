#include "firmware/unpack.h"

#include <fmt/core.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>

#include "base/bits.h"

namespace mynah {
namespace {

constexpr uint32_t kLz4LegacyMagic = 0x184c2102;
constexpr size_t kLz4BlockMax = 8u << 20;  // unpacked bytes of one block [lz4-frame "Legacy frame"]

struct Signature {
    Packing packing;
    std::string_view bytes;
};
// LZMA has no magic: the properties byte and dictionary size that Linux's build uses.
constexpr std::array<Signature, 5> kSignatures{{
    {Packing::kGzip, std::string_view("\x1f\x8b\x08", 3)},
    {Packing::kXz, std::string_view("\xfd"
                                    "7zXZ\0",
                                    6)},
    {Packing::kZstd, std::string_view("\x28\xb5\x2f\xfd", 4)},
    {Packing::kLz4Legacy, std::string_view("\x02\x21\x4c\x18", 4)},
    {Packing::kLzma, std::string_view("\x5d\0\0", 3)},
}};

Error corrupt(Packing packing) {
    return Error(fmt::format("the {} data is corrupt or truncated", packing_name(packing)));
}
Error too_large(Packing packing, size_t capacity) {
    return Error(
        fmt::format("the {} data unpacks to more than {} bytes", packing_name(packing), capacity));
}

Result<size_t> unpack_gzip(std::span<const std::byte> packed, std::span<std::byte> to) {
    constexpr int kGzipWrapper = 16;
    z_stream stream{};
    if (inflateInit2(&stream, MAX_WBITS + kGzipWrapper) != Z_OK) return Error("zlib cannot start");
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
    stream.avail_in = static_cast<uInt>(std::min<size_t>(packed.size(), UINT_MAX));
    stream.next_out = reinterpret_cast<Bytef*>(to.data());
    stream.avail_out = static_cast<uInt>(std::min<size_t>(to.size(), UINT_MAX));
    const int status = inflate(&stream, Z_FINISH);
    const size_t size = stream.total_out;
    const bool full = stream.avail_out == 0;
    inflateEnd(&stream);
    if (status == Z_STREAM_END) return size;
    return full ? too_large(Packing::kGzip, to.size()) : corrupt(Packing::kGzip);
}

Result<size_t> unpack_lzma(Packing packing, std::span<const std::byte> packed,
                           std::span<std::byte> to) {
    lzma_stream stream = LZMA_STREAM_INIT;
    const lzma_ret started = packing == Packing::kXz
                                 ? lzma_stream_decoder(&stream, kDecoderMemory, 0)
                                 : lzma_alone_decoder(&stream, kDecoderMemory);
    if (started != LZMA_OK) return Error("liblzma cannot start");
    stream.next_in = reinterpret_cast<const uint8_t*>(packed.data());
    stream.avail_in = packed.size();
    stream.next_out = reinterpret_cast<uint8_t*>(to.data());
    stream.avail_out = to.size();
    lzma_ret status = LZMA_OK;
    while (status == LZMA_OK && stream.avail_out > 0) {
        status = lzma_code(&stream, LZMA_FINISH);
    }
    // With the output full the end marker and the checksum may still be unread.
    if (status == LZMA_OK) status = lzma_code(&stream, LZMA_FINISH);
    const size_t size = stream.total_out;
    const bool full = stream.avail_out == 0;
    lzma_end(&stream);
    if (status == LZMA_STREAM_END) return size;
    if (status == LZMA_MEMLIMIT_ERROR) {
        return Error(fmt::format("the {} data needs more than {} MiB for its dictionary",
                                 packing_name(packing), kDecoderMemory >> 20));
    }
    const bool overflow = full && (status == LZMA_OK || status == LZMA_BUF_ERROR);
    return overflow ? too_large(packing, to.size()) : corrupt(packing);
}

Result<size_t> unpack_zstd(std::span<const std::byte> packed, std::span<std::byte> to) {
    // One call for one whole frame: writes straight to the output, so no window is allocated.
    const size_t frame = ZSTD_findFrameCompressedSize(packed.data(), packed.size());
    if (ZSTD_isError(frame)) return corrupt(Packing::kZstd);
    const unsigned long long content = ZSTD_getFrameContentSize(packed.data(), packed.size());
    if (content != ZSTD_CONTENTSIZE_UNKNOWN && content != ZSTD_CONTENTSIZE_ERROR &&
        content > to.size()) {
        return too_large(Packing::kZstd, to.size());
    }
    const size_t size = ZSTD_decompress(to.data(), to.size(), packed.data(), frame);
    if (ZSTD_isError(size)) return corrupt(Packing::kZstd);
    return size;
}

Result<size_t> unpack_lz4(std::span<const std::byte> packed, std::span<std::byte> to) {
    packed = packed.subspan(sizeof kLz4LegacyMagic);
    size_t size = 0;
    // A block ends the stream if it is the last or shorter than the maximum; behind it may stand
    // Linux's four-byte length, which no block size can be mistaken for then.
    while (packed.size() > sizeof(uint32_t)) {
        const auto block = load_unaligned<uint32_t>(packed.data());
        packed = packed.subspan(sizeof block);
        if (block == 0 || block > packed.size() || block > LZ4_COMPRESSBOUND(kLz4BlockMax)) {
            return corrupt(Packing::kLz4Legacy);
        }
        const size_t space = std::min(to.size() - size, kLz4BlockMax);
        const int written = LZ4_decompress_safe(reinterpret_cast<const char*>(packed.data()),
                                                reinterpret_cast<char*>(to.data() + size),
                                                static_cast<int>(block), static_cast<int>(space));
        if (written < 0) {
            return space < kLz4BlockMax ? too_large(Packing::kLz4Legacy, to.size())
                                        : corrupt(Packing::kLz4Legacy);
        }
        size += static_cast<size_t>(written);
        packed = packed.subspan(block);
        if (static_cast<size_t>(written) < kLz4BlockMax) break;
    }
    if (size == 0) return corrupt(Packing::kLz4Legacy);
    return size;
}

}  // namespace

std::string_view packing_name(Packing packing) {
    switch (packing) {
        case Packing::kGzip:
            return "gzip";
        case Packing::kXz:
            return "xz";
        case Packing::kLzma:
            return "lzma";
        case Packing::kZstd:
            return "zstd";
        case Packing::kLz4Legacy:
            return "lz4";
    }
    return "packed";
}

std::optional<Packing> detect_packing(std::span<const std::byte> packed) {
    for (const Signature& signature : kSignatures) {
        if (packed.size() >= signature.bytes.size() &&
            std::memcmp(packed.data(), signature.bytes.data(), signature.bytes.size()) == 0) {
            return signature.packing;
        }
    }
    return std::nullopt;
}

Result<UnpackedBytes> unpack(Packing packing, std::span<const std::byte> packed, size_t capacity) {
    UnpackedBytes output(capacity);
    const auto run = [&]() -> Result<size_t> {
        switch (packing) {
            case Packing::kGzip:
                return unpack_gzip(packed, output.all());
            case Packing::kZstd:
                return unpack_zstd(packed, output.all());
            case Packing::kLz4Legacy:
                return unpack_lz4(packed, output.all());
            case Packing::kXz:
            case Packing::kLzma:
                return unpack_lzma(packing, packed, output.all());
        }
        return Error("unknown packing");
    };
    if (detect_packing(packed) != packing) return corrupt(packing);
    output.shrink(TRY(run()));
    return output;
}

}  // namespace mynah
