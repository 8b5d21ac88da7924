#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace mynah {

// Builds the answers of SCSI commands: numbers in big-endian order [SPC-4 3.5].
class ByteWriter {
  public:
    void u8(uint64_t value) { bytes_.push_back(static_cast<uint8_t>(value)); }
    void u16(uint64_t value) { big(value, 2); }
    void u24(uint64_t value) { big(value, 3); }
    void u32(uint64_t value) { big(value, 4); }
    void u64(uint64_t value) { big(value, 8); }
    void zeroes(size_t count) { bytes_.resize(bytes_.size() + count); }
    // Cut or padded with spaces [SPC-4 4.4.1].
    void text(std::string_view text, size_t size) {
        for (size_t i = 0; i < size; ++i) {
            const char c = i < text.size() ? text[i] : ' ';
            u8(static_cast<uint8_t>(c >= ' ' && c <= '~' ? c : '?'));
        }
    }
    // Overwrites what is at an offset, for lengths that are known at the end.
    void put16(size_t at, uint64_t value) {
        bytes_[at] = static_cast<uint8_t>(value >> 8);
        bytes_[at + 1] = static_cast<uint8_t>(value);
    }
    void put32(size_t at, uint64_t value) {
        put16(at, value >> 16);
        put16(at + 2, value);
    }
    size_t size() const { return bytes_.size(); }
    uint8_t& operator[](size_t at) { return bytes_[at]; }
    const std::vector<uint8_t>& bytes() const { return bytes_; }

  private:
    void big(uint64_t value, unsigned size) {
        for (unsigned i = size; i-- > 0;) u8(value >> (8 * i) & 0xff);
    }

    std::vector<uint8_t> bytes_;
};

// A field of a command packet; the bytes must be there.
template <typename Bytes>
uint64_t big_endian(const Bytes& bytes, size_t at, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) value = value << 8 | bytes[at + i];
    return value;
}

}  // namespace mynah
