#include "firmware/smbios.h"

#include <gtest/gtest.h>

#include <map>

#include "base/bits.h"

namespace mynah {
namespace {

constexpr uint64_t kGib = uint64_t{1} << 30;
const GuestMemory::Range kMemory[] = {{GuestPhys(0), 2 * kGib}, {GuestPhys(4 * kGib), 30 * kGib}};

SmbiosBoard example() {
    SmbiosBoard board;
    board.name = "vm1";
    board.uuid = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
    board.sockets = 2;
    board.cores = 3;
    board.threads = 2;
    board.memory = kMemory;
    return board;
}

struct Found {
    std::vector<std::span<const std::byte>> formatted;
    std::vector<std::string> strings;
};

// Walks the structures as a guest does.
std::map<unsigned, Found> walk(std::span<const std::byte> tables) {
    std::map<unsigned, Found> found;
    size_t at = 0;
    while (at + 4 <= tables.size()) {
        const auto type = std::to_integer<unsigned>(tables[at]);
        const auto length = std::to_integer<size_t>(tables[at + 1]);
        EXPECT_GE(length, 4u);
        EXPECT_LE(at + length + 2, tables.size());
        found[type].formatted.push_back(tables.subspan(at, length));
        at += length;
        std::string text;
        if (tables[at] == std::byte{0}) ++at;
        while (tables[at] != std::byte{0}) {
            text.clear();
            while (tables[at] != std::byte{0}) text.push_back(static_cast<char>(tables[at++]));
            found[type].strings.push_back(text);
            ++at;
        }
        ++at;
    }
    EXPECT_EQ(at, tables.size());
    return found;
}

TEST(Smbios, TellsSystemProcessorsAndMemory) {
    const auto tables = make_smbios_tables(example());
    const auto found = walk(tables);
    EXPECT_EQ(found.at(1).strings.back(), "Virtual Machine");
    EXPECT_EQ(load_unaligned<uint32_t>(found.at(1).formatted[0].data() + 8), 0x00112233u);
    ASSERT_EQ(found.at(4).formatted.size(), 2u);
    EXPECT_EQ(found.at(4).formatted[0].size(), 0x30u);
    EXPECT_EQ(std::to_integer<int>(found.at(4).formatted[1][0x23]), 3) << "cores";
    EXPECT_EQ(std::to_integer<int>(found.at(4).formatted[1][0x25]), 6) << "threads";
    ASSERT_EQ(found.at(17).formatted.size(), 2u);
    EXPECT_EQ(load_unaligned<uint16_t>(found.at(17).formatted[0].data() + 0x0c), 0x4000);
    ASSERT_EQ(found.at(19).formatted.size(), 2u);
    EXPECT_EQ(load_unaligned<uint64_t>(found.at(19).formatted[1].data() + 0x17), 34 * kGib - 1);
    EXPECT_EQ(found.count(127), 1u);
}

TEST(Smbios, EntryPointSumsToZero) {
    const auto entry = make_smbios_entry(0x12345678, 0x200);
    ASSERT_EQ(entry.size(), 24u);
    unsigned sum = 0;
    for (const std::byte byte : entry) sum += std::to_integer<unsigned>(byte);
    EXPECT_EQ(sum % 256, 0u);
    EXPECT_EQ(load_unaligned<uint64_t>(entry.data() + 16), 0x12345678u);
}

}  // namespace
}  // namespace mynah
