#include "firmware/initrd_check.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/bits.h"
#include "firmware/unpack.h"

namespace mynah {
namespace {

using Bytes = std::span<const std::byte>;

bool starts_with(Bytes bytes, std::string_view magic) {
    return bytes.size() >= magic.size() &&
           std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

// File systems and packings that Linux knows and whose end we cannot or need not find.
bool other_known_format(Bytes bytes) {
    constexpr std::array<std::string_view, 6> kMagics{
        "BZh", "\x89LZO", "hsqs", "-rom1fs-", "\x45\x3d\xcd\x28", "\x28\xcd\x3d\x45"};
    for (const std::string_view magic : kMagics) {
        if (starts_with(bytes, magic)) return true;
    }
    constexpr uint64_t kExt2Magic = 1024 + 56;
    return bytes.size() >= kExt2Magic + 2 &&
           load_unaligned<uint16_t>(bytes.data() + kExt2Magic) == 0xef53;
}

// --- Each of these: how many bytes the first part of `bytes` takes; 0: truncated or damaged.
// -------

// cpio "newc" [linux-initramfs]: headers of 13 fields of 8 hexadecimal digits behind the magic.
size_t cpio_size(Bytes bytes) {
    constexpr size_t kHeader = 110, kFileSizeField = 6 + 6 * 8, kNameSizeField = 6 + 11 * 8;
    const auto field = [&](size_t at, size_t offset) -> uint64_t {
        const char* digits = reinterpret_cast<const char*>(bytes.data()) + at + offset;
        uint64_t value = 0;
        const auto [end, error] = std::from_chars(digits, digits + 8, value, 16);
        return error == std::errc() && end == digits + 8 ? value : ~uint64_t{0};
    };
    size_t at = 0;
    while (bytes.size() - at >= kHeader) {
        if (!starts_with(bytes.subspan(at), "07070")) return 0;
        const uint64_t file_size = field(at, kFileSizeField), name_size = field(at, kNameSizeField);
        if (file_size > UINT32_MAX || name_size > UINT32_MAX) return 0;
        const uint64_t data = align_up(at + kHeader + name_size, 4);
        const uint64_t next = align_up(data + file_size, 4);
        if (data + file_size > bytes.size()) return 0;
        if (starts_with(bytes.subspan(at + kHeader), "TRAILER!!!")) {
            return std::min<uint64_t>(next, bytes.size());
        }
        if (next > bytes.size()) return 0;
        at = next;
    }
    return 0;
}

size_t gzip_size(Bytes bytes) {
    constexpr uint64_t kCheckedOutput = 1u << 30;  // of a bomb, believe the rest
    std::vector<Bytef> scratch(256u << 10);
    z_stream stream{};
    if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK) return 0;
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(std::min<size_t>(bytes.size(), UINT32_MAX));
    int status = Z_OK;
    while (status == Z_OK && stream.total_out < kCheckedOutput) {
        stream.next_out = scratch.data();
        stream.avail_out = static_cast<uInt>(scratch.size());
        status = inflate(&stream, Z_NO_FLUSH);
    }
    const size_t used = status == Z_OK ? bytes.size() : stream.total_in;
    inflateEnd(&stream);
    return status == Z_STREAM_END || status == Z_OK ? used : 0;
}

// The footer names the index, which names the blocks; a file cut short has none.
size_t xz_size(Bytes bytes) {
    size_t end = bytes.size();
    while (end > 0 && bytes[end - 1] == std::byte{0}) --end;
    if (end < LZMA_STREAM_HEADER_SIZE) return 0;
    lzma_stream_flags flags;
    const auto* footer =
        reinterpret_cast<const uint8_t*>(bytes.data()) + end - LZMA_STREAM_HEADER_SIZE;
    return lzma_stream_footer_decode(&flags, footer) == LZMA_OK ? bytes.size() : 0;
}

size_t zstd_size(Bytes bytes) {
    const size_t size = ZSTD_findFrameCompressedSize(bytes.data(), bytes.size());
    return ZSTD_isError(size) ? 0 : size;
}

size_t lz4_size(Bytes bytes) {
    size_t at = sizeof(uint32_t);
    while (bytes.size() - at > sizeof(uint32_t)) {
        const auto block = load_unaligned<uint32_t>(bytes.data() + at);
        // Padding, another magic, or a cpio archive behind the last block.
        if (block == 0 || block == 0x184c2102 || block == 0x37303730) break;
        if (block > bytes.size() - at - sizeof block) return 0;
        at += sizeof block + block;
    }
    return at;
}

size_t part_size(Bytes bytes) {
    if (starts_with(bytes, "07070")) return cpio_size(bytes);
    const auto packing = detect_packing(bytes);
    if (!packing) return bytes.size();  // the caller knows that it is a known format
    switch (*packing) {
        case Packing::kGzip:
            return gzip_size(bytes);
        case Packing::kXz:
            return xz_size(bytes);
        case Packing::kZstd:
            return zstd_size(bytes);
        case Packing::kLz4Legacy:
            return lz4_size(bytes);
        case Packing::kLzma:
            return bytes.size();
    }
    return bytes.size();
}

bool known_format(Bytes bytes) {
    return starts_with(bytes, "070701") || starts_with(bytes, "070702") || detect_packing(bytes) ||
           other_known_format(bytes);
}

}  // namespace

Result<void> check_initrd(const BootFile& initrd) {
    Bytes rest = initrd.bytes;
    if (rest.empty()) return Error(initrd.origin + ": the file is empty; expected a cpio archive");
    bool first = true;
    while (!rest.empty()) {
        if (!known_format(rest)) {
            if (!first) break;  // Linux ignores what it does not know behind an archive
            return Error(
                initrd.origin +
                ": not an initrd: expected a cpio archive (newc), plain or packed with gzip, xz, "
                "zstd, lz4, bzip2, lzma or lzo");
        }
        const size_t size = part_size(rest);
        if (size == 0)
            return Error(initrd.origin + ": truncated or damaged: the archive has no end");
        rest = rest.subspan(std::min(size, rest.size()));
        while (!rest.empty() && rest.front() == std::byte{0}) rest = rest.subspan(1);
        first = false;
    }
    return {};
}

}  // namespace mynah
