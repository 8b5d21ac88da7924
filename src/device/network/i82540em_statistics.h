#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "backend/network/mac_address.h"
#include "device/network/i82540em_registers.h"

namespace mynah::i82540em {

// The counters [8254x 13.7]: read and cleared; those of 32 bits stay at their largest value.
// Single-threaded.
class Statistics {
  public:
    void reset() { counters_.fill(0); }
    uint32_t read(uint32_t offset);

    // wire_bytes: with the check sequence.
    void received(const MacAddress& destination, size_t wire_bytes);
    void sent(const MacAddress& destination, size_t wire_bytes);
    void count(uint32_t offset) { add(offset, 1); }

  private:
    void add(uint32_t offset, uint32_t amount);
    void add64(uint32_t low_offset, uint64_t amount);
    void add_size(uint32_t first_offset, size_t wire_bytes);

    std::array<uint32_t, (kStatisticsEnd - kStatistics) / 4> counters_{};
};

}  // namespace mynah::i82540em
