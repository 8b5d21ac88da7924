#include "machine/option_rom.h"

#include <algorithm>

#include "base/bits.h"

namespace mynah {
namespace {

// [PCI Firmware 3.0 5.1.1, 5.1.2]
constexpr uint16_t kSignature = 0xaa55;
constexpr uint32_t kStructureSignature = 0x52494350;  // "PCIR"
constexpr size_t kHeaderSize = 0x1a, kStructurePointer = 0x18, kStructureSize = 0x18;
constexpr size_t kVendor = 4, kDevice = 6, kImageLength = 0x10, kCodeType = 0x14, kIndicator = 0x15;
constexpr size_t kUnit = 512;
// A byte of the BIOS header that belongs to nobody, and so can make the sum right again.
constexpr size_t kSpare = 6;

template <typename T>
T load(std::span<const std::byte> bytes, size_t at) {
    return load_unaligned<T>(bytes.data() + at);
}

}  // namespace

void retarget_option_rom(std::span<std::byte> rom, uint16_t vendor, uint16_t device) {
    while (rom.size() >= kHeaderSize && load<uint16_t>(rom, 0) == kSignature) {
        const size_t structure = load<uint16_t>(rom, kStructurePointer);
        if (structure + kStructureSize > rom.size() ||
            load<uint32_t>(rom, structure) != kStructureSignature) {
            return;
        }
        const size_t length = load<uint16_t>(rom, structure + kImageLength) * kUnit;
        if (length == 0 || length > rom.size()) return;
        const auto sum = [](std::span<const std::byte> bytes) {
            uint8_t total = 0;
            for (const std::byte byte : bytes) total += static_cast<uint8_t>(byte);
            return total;
        };
        const std::span<std::byte> ids = rom.subspan(structure + kVendor, 4);
        const uint8_t before = sum(ids);
        store_unaligned(ids.data(), vendor);
        store_unaligned(ids.data() + kDevice - kVendor, device);
        if (rom[structure + kCodeType] == std::byte{0}) {
            const auto spare = static_cast<unsigned>(rom[kSpare]);
            rom[kSpare] = static_cast<std::byte>(spare + before - sum(ids));
        }
        if ((rom[structure + kIndicator] & std::byte{0x80}) != std::byte{0}) return;
        rom = rom.subspan(length);
    }
}

}  // namespace mynah
