#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "spec/ata/registers.h"

namespace mynah {

// The 256 words that IDENTIFY (PACKET) DEVICE answers with [ACS-3 7.12].
class IdentifyBlock {
  public:
    void word(unsigned index, uint16_t value) { words_[index] = value; }
    void dword(unsigned index, uint32_t value);
    void qword(unsigned index, uint64_t value);
    // Two characters a word, the first one in the high byte; padded with spaces [ACS-3 3.4.9].
    void text(unsigned index, unsigned words, std::string_view text);
    // With the integrity word filled in [ACS-3 7.12.7.92].
    std::array<uint8_t, ata::kIdentifySize> bytes() const;

  private:
    std::array<uint16_t, ata::kIdentifySize / 2> words_{};
};

}  // namespace mynah
