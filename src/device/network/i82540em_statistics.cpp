#include "device/network/i82540em_statistics.h"

#include <algorithm>

namespace mynah::i82540em {
namespace {

size_t index_of(uint32_t offset) { return (offset - kStatistics) / 4; }

}  // namespace

uint32_t Statistics::read(uint32_t offset) {
    uint32_t& counter = counters_[index_of(offset)];
    const uint32_t value = counter;
    counter = 0;
    return value;
}

void Statistics::add(uint32_t offset, uint32_t amount) {
    uint32_t& counter = counters_[index_of(offset)];
    counter += std::min(amount, ~counter);
}

void Statistics::add64(uint32_t low_offset, uint64_t amount) {
    uint32_t& low = counters_[index_of(low_offset)];
    uint32_t& high = counters_[index_of(low_offset) + 1];
    const uint64_t sum = (uint64_t{high} << 32 | low) + amount;
    low = static_cast<uint32_t>(sum);
    high = static_cast<uint32_t>(sum >> 32);
}

// Six counters in a row, by size.
void Statistics::add_size(uint32_t first_offset, size_t wire_bytes) {
    constexpr size_t kLimits[] = {64, 127, 255, 511, 1023};
    uint32_t offset = first_offset;
    for (const size_t limit : kLimits) {
        if (wire_bytes <= limit) break;
        offset += 4;
    }
    add(offset, 1);
}

void Statistics::received(const MacAddress& destination, size_t wire_bytes) {
    add_size(kPrc64, wire_bytes);
    add(kGprc, 1);
    add(kTpr, 1);
    if (destination == kBroadcastAddress) {
        add(kBprc, 1);
    } else if (destination.is_group()) {
        add(kMprc, 1);
    }
    add64(kGorcl, wire_bytes);
    add64(kTorl, wire_bytes);
}

void Statistics::sent(const MacAddress& destination, size_t wire_bytes) {
    add_size(kPtc64, wire_bytes);
    add(kGptc, 1);
    add(kTpt, 1);
    if (destination == kBroadcastAddress) {
        add(kBptc, 1);
    } else if (destination.is_group()) {
        add(kMptc, 1);
    }
    add64(kGotcl, wire_bytes);
    add64(kTotl, wire_bytes);
}

}  // namespace mynah::i82540em
