#include "device/storage/identify_block.h"

namespace mynah {

void IdentifyBlock::dword(unsigned index, uint32_t value) {
    words_[index] = static_cast<uint16_t>(value);
    words_[index + 1] = static_cast<uint16_t>(value >> 16);
}

void IdentifyBlock::qword(unsigned index, uint64_t value) {
    dword(index, static_cast<uint32_t>(value));
    dword(index + 2, static_cast<uint32_t>(value >> 32));
}

void IdentifyBlock::text(unsigned index, unsigned words, std::string_view text) {
    const auto character = [text](unsigned at) {
        const char c = at < text.size() ? text[at] : ' ';
        return static_cast<uint8_t>(c >= ' ' && c <= '~' ? c : '?');
    };
    for (unsigned i = 0; i < words; ++i) {
        words_[index + i] = static_cast<uint16_t>(character(2 * i) << 8 | character(2 * i + 1));
    }
}

std::array<uint8_t, ata::kIdentifySize> IdentifyBlock::bytes() const {
    constexpr uint8_t kIntegritySignature = 0xa5;
    std::array<uint8_t, ata::kIdentifySize> bytes;
    uint8_t sum = 0;
    for (unsigned i = 0; i < words_.size(); ++i) {
        bytes[2 * i] = static_cast<uint8_t>(words_[i]);
        bytes[2 * i + 1] = static_cast<uint8_t>(words_[i] >> 8);
    }
    bytes[510] = kIntegritySignature;
    for (unsigned i = 0; i < 511; ++i) sum = static_cast<uint8_t>(sum + bytes[i]);
    bytes[511] = static_cast<uint8_t>(-sum);
    return bytes;
}

}  // namespace mynah
