#include "backend/block/qcow2/qcow2_compression.h"

#include <zlib.h>
#include <zstd.h>

namespace mynah {
namespace {

// Deflate without a header, with a window of 4 KiB [qcow2, "Compressed Clusters Descriptor"].
constexpr int kWindowBits = -12;

Bytef* bytes_of(std::span<const std::byte> bytes) {
    return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
}

}  // namespace

std::optional<std::vector<std::byte>> qcow2_pack(qcow2::Compression method,
                                                 std::span<const std::byte> cluster) {
    std::vector<std::byte> packed(cluster.size() - 1);
    if (method == qcow2::Compression::kZstd) {
        const size_t size = ZSTD_compress(packed.data(), packed.size(), cluster.data(),
                                          cluster.size(), ZSTD_CLEVEL_DEFAULT);
        if (ZSTD_isError(size)) return std::nullopt;
        packed.resize(size);
        return packed;
    }
    z_stream stream{};
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kWindowBits, 9,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return std::nullopt;
    stream.next_in = bytes_of(cluster);
    stream.avail_in = static_cast<uInt>(cluster.size());
    stream.next_out = bytes_of(packed);
    stream.avail_out = static_cast<uInt>(packed.size());
    const int outcome = deflate(&stream, Z_FINISH);
    const size_t size = stream.total_out;
    deflateEnd(&stream);
    if (outcome != Z_STREAM_END) return std::nullopt;
    packed.resize(size);
    return packed;
}

bool qcow2_unpack(qcow2::Compression method, std::span<const std::byte> packed,
                  std::span<std::byte> cluster) {
    if (method == qcow2::Compression::kZstd) {
        ZSTD_DCtx* context = ZSTD_createDCtx();
        if (context == nullptr) return false;
        ZSTD_inBuffer in{packed.data(), packed.size(), 0};
        ZSTD_outBuffer out{cluster.data(), cluster.size(), 0};
        // Several frames may follow each other. Each turn must bring something, so it ends.
        bool good = true;
        while (good && out.pos < out.size) {
            const size_t before_in = in.pos, before_out = out.pos;
            const size_t outcome = ZSTD_decompressStream(context, &out, &in);
            good = !ZSTD_isError(outcome) && (in.pos != before_in || out.pos != before_out);
        }
        ZSTD_freeDCtx(context);
        return good;
    }
    z_stream stream{};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
    stream.next_in = bytes_of(packed);
    stream.avail_in = static_cast<uInt>(packed.size());
    stream.next_out = bytes_of(cluster);
    stream.avail_out = static_cast<uInt>(cluster.size());
    const int outcome = inflate(&stream, Z_FINISH);
    const bool full = stream.total_out == cluster.size();
    inflateEnd(&stream);
    return (outcome == Z_STREAM_END || outcome == Z_BUF_ERROR) && full;
}

}  // namespace mynah
