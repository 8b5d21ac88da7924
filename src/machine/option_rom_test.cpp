#include "machine/option_rom.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/bits.h"

namespace mynah {
namespace {

// Two images: one for a BIOS, whose bytes sum up to zero, and one of another kind.
std::vector<std::byte> sample_rom() {
    std::vector<std::byte> rom(1024 + 512);
    for (const size_t start : {size_t{0}, size_t{1024}}) {
        std::byte* image = rom.data() + start;
        store_unaligned<uint16_t>(image, 0xaa55);
        store_unaligned<uint16_t>(image + 0x18, 0x40);
        store_unaligned<uint32_t>(image + 0x40, 0x52494350);
        store_unaligned<uint16_t>(image + 0x44, 0x1af4);
        store_unaligned<uint16_t>(image + 0x46, 0x1000);
        store_unaligned<uint16_t>(image + 0x50, start == 0 ? 2 : 1);
        image[0x54] = start == 0 ? std::byte{0} : std::byte{3};
        image[0x55] = start == 0 ? std::byte{0} : std::byte{0x80};
    }
    uint8_t sum = 0;
    for (size_t i = 0; i < 1024; ++i)
        sum = static_cast<uint8_t>(sum + static_cast<uint8_t>(rom[i]));
    rom[1000] = static_cast<std::byte>(0 - sum);
    return rom;
}

TEST(OptionRom, IsMadeOneForAnotherDevice) {
    std::vector<std::byte> rom = sample_rom();
    retarget_option_rom(rom, 0x8086, 0x1041);
    for (const size_t start : {0, 1024}) {
        EXPECT_EQ(load_unaligned<uint16_t>(rom.data() + start + 0x44), 0x8086);
        EXPECT_EQ(load_unaligned<uint16_t>(rom.data() + start + 0x46), 0x1041);
    }
    uint8_t sum = 0;
    for (size_t i = 0; i < 1024; ++i)
        sum = static_cast<uint8_t>(sum + static_cast<uint8_t>(rom[i]));
    EXPECT_EQ(sum, 0);
}

TEST(OptionRom, IsLeftAloneIfItIsNone) {
    for (const size_t size : {size_t{0}, size_t{2}, size_t{0x1a}, size_t{0x44}, size_t{1023}}) {
        std::vector<std::byte> rom = sample_rom();
        rom.resize(size);
        const auto before = rom;
        retarget_option_rom(rom, 0x8086, 0x1041);
        EXPECT_EQ(rom, before) << size;
    }
    std::vector<std::byte> rom = sample_rom();
    rom[0x18] = rom[0x19] = std::byte{0xff};
    const auto before = rom;
    retarget_option_rom(rom, 0x8086, 0x1041);
    EXPECT_EQ(rom, before);
}

}  // namespace
}  // namespace mynah
