#include "backend/network/checksum.h"

#include "base/bits.h"

namespace mynah {
namespace {

uint64_t fold(uint64_t sum) {
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}
uint16_t swap(uint64_t sum) { return __builtin_bswap16(static_cast<uint16_t>(sum)); }

}  // namespace

void InternetSum::add(std::span<const std::byte> bytes) {
    // Little-endian words, many at a time: the order of bytes can be turned round at the end
    // [RFC 1071 2(B)].
    uint64_t sum = 0;
    const std::byte* at = bytes.data();
    size_t left = bytes.size();
    for (; left >= 8; at += 8, left -= 8) {
        const auto word = load_unaligned<uint64_t>(at);
        sum += (word & 0xffffffff) + (word >> 32);
    }
    sum = (sum & 0xffffffff) + (sum >> 32);
    for (; left >= 2; at += 2, left -= 2) sum += load_unaligned<uint16_t>(at);
    if (left > 0) sum += static_cast<uint64_t>(*at);
    const uint16_t part = swap(fold(sum));
    sum_ += odd_ ? swap(part) : part;
    odd_ = odd_ != (bytes.size() % 2 != 0);
}

uint16_t InternetSum::folded() const { return static_cast<uint16_t>(fold(sum_)); }

}  // namespace mynah
