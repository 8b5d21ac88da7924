#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace mynah {

enum class Packing { kGzip, kXz, kLzma, kZstd, kLz4Legacy };

std::string_view packing_name(Packing packing);

// How `packed` is compressed, by its first bytes; nothing if it is none of ours (bzip2 and LZO
// kernels unpack themselves).
std::optional<Packing> detect_packing(std::span<const std::byte> packed);

// A block of host memory of a fixed size, not cleared at first.
class UnpackedBytes {
 public:
    explicit UnpackedBytes(size_t capacity)
        : data_(std::make_unique_for_overwrite<std::byte[]>(capacity)), size_(capacity) {}
    std::span<std::byte> all() { return {data_.get(), size_}; }
    std::span<const std::byte> bytes() const { return {data_.get(), size_}; }
    void shrink(size_t size) { size_ = size < size_ ? size : size_; }

 private:
    std::unique_ptr<std::byte[]> data_;
    size_t size_;
};

// Unpacks one stream into at most `capacity` bytes; what follows the stream's end is ignored (Linux
// appends the unpacked length). Works in bounded memory: the output, and for xz and LZMA at most
// kDecoderMemory for the dictionary. Error: corrupt, truncated, or larger than `capacity`; the
// message is a clause without subject ("the xz data is corrupt").
inline constexpr uint64_t kDecoderMemory = 256u << 20;
Result<UnpackedBytes> unpack(Packing packing, std::span<const std::byte> packed, size_t capacity);

}  // namespace mynah
