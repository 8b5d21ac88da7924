#include "device/firmware_config/firmware_config.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/bits.h"

namespace mynah {
namespace {

using Bytes = FirmwareConfig::Bytes;

Bytes bytes(std::string_view text) {
    const auto span = std::as_bytes(std::span(text));
    return Bytes(span.begin(), span.end());
}

struct Board {
    Board() {
        const GuestMemory::Range ram{GuestPhys(0), 1 << 16};
        memory = GuestMemory::create(std::span(&ram, 1)).take_value();
        dma = std::make_unique<DmaView>(*memory);
        config = std::make_unique<FirmwareConfig>(*dma);
    }
    std::string read(uint16_t key, size_t size) {
        config->write(fw_cfg::kSelector, 2, key);
        std::string text;
        for (size_t i = 0; i < size; ++i)
            text.push_back(static_cast<char>(config->read(fw_cfg::kData, 1)));
        return text;
    }
    // What the control field says afterwards.
    uint32_t run_dma(uint32_t control, uint32_t length, uint64_t address, uint64_t at = 0x100) {
        (void)memory->store(GuestPhys(at),
                            fw_cfg::DmaAccess{__builtin_bswap32(control), __builtin_bswap32(length),
                                              __builtin_bswap64(address)});
        config->write(fw_cfg::kDma, 4, __builtin_bswap32(static_cast<uint32_t>(at >> 32)));
        config->write(fw_cfg::kDma + 4, 4, __builtin_bswap32(static_cast<uint32_t>(at)));
        return __builtin_bswap32(
            memory->load<uint32_t>(GuestPhys(at)).value_or(__builtin_bswap32(0xdead)));
    }
    uint16_t key_of(std::string_view name) {
        const std::string directory = read(fw_cfg::kFileDirectory, 4 + 64 * 8);
        for (size_t at = 4; at < directory.size(); at += 64) {
            if (directory.substr(at + 8, name.size() + 1) == std::string(name) + '\0')
                return static_cast<uint16_t>(static_cast<uint8_t>(directory[at + 4]) << 8 |
                                             static_cast<uint8_t>(directory[at + 5]));
        }
        return 0;
    }
    std::unique_ptr<GuestMemory> memory;
    std::unique_ptr<DmaView> dma;
    std::unique_ptr<FirmwareConfig> config;
};

constexpr uint32_t select(uint16_t key) {
    return uint32_t{key} << fw_cfg::dma::kKeyShift | fw_cfg::dma::kSelect;
}

TEST(FirmwareConfig, SignatureAndFeatures) {
    Board board;
    EXPECT_EQ(board.read(fw_cfg::kSignature, 6), std::string("QEMU\0\0", 6));
    EXPECT_EQ(board.read(fw_cfg::kId, 1), "\x03");
    EXPECT_EQ(board.read(0x1234, 2), std::string(2, '\0')) << "nothing there";
    EXPECT_EQ(board.config->read(fw_cfg::kDma, 4), 0x554d4551u) << "QEMU";
    EXPECT_EQ(board.config->read(fw_cfg::kDma + 4, 4), 0x47464320u) << " CFG";
}

TEST(FirmwareConfig, FilesAreInTheDirectoryByName) {
    Board board;
    board.config->set_file("opt/b", bytes("second"));
    board.config->set_file("etc/a", bytes("first"));
    const std::string directory = board.read(fw_cfg::kFileDirectory, 4 + 128);
    EXPECT_EQ(directory.substr(0, 8), std::string("\0\0\0\2\0\0\0\5", 8));
    EXPECT_EQ(board.key_of("etc/a"), fw_cfg::kFirstFile);
    EXPECT_EQ(board.read(board.key_of("opt/b"), 6), "second");
    board.config->set_file("etc/a", bytes("changed"));
    EXPECT_EQ(board.read(board.key_of("etc/a"), 7), "changed");
    board.config->remove_file("etc/a");
    EXPECT_EQ(board.key_of("etc/a"), 0);
}

TEST(FirmwareConfig, DmaReadsSkipsAndPadsWithZeros) {
    Board board;
    board.config->set_file("file", bytes("0123456789"));
    const uint16_t key = board.key_of("file");
    EXPECT_EQ(board.run_dma(select(key) | fw_cfg::dma::kRead, 4, 0x1000), 0u);
    EXPECT_EQ(board.run_dma(fw_cfg::dma::kSkip, 2, 0), 0u);
    EXPECT_EQ(board.run_dma(fw_cfg::dma::kRead, 8, 0x1004), 0u);
    std::string text(12, 'x');
    ASSERT_TRUE(board.memory->read(GuestPhys(0x1000), std::as_writable_bytes(std::span(text))));
    EXPECT_EQ(text, std::string("01236789\0\0\0\0", 12));
    EXPECT_EQ(board.run_dma(fw_cfg::dma::kRead, 0xffffffff, 0xfff0), fw_cfg::dma::kError)
        << "beyond memory";
    EXPECT_EQ(board.run_dma(select(key) | fw_cfg::dma::kWrite, 4, 0x1000), fw_cfg::dma::kError);
    EXPECT_EQ(board.run_dma(fw_cfg::dma::kSkip, 0xffffffff, 0), 0u);
}

TEST(FirmwareConfig, WritableFilesTakeWhatFits) {
    Board board;
    board.config->set_writable_file("file", bytes("....."));
    const uint16_t key = board.key_of("file");
    ASSERT_TRUE(board.memory->store(GuestPhys(0x1000), uint32_t{0x64636261}));
    EXPECT_EQ(board.run_dma(select(key) | fw_cfg::dma::kWrite, 4, 0x1000), 0u);
    EXPECT_EQ(board.config->file("file"), bytes("abcd."));
    EXPECT_EQ(board.run_dma(fw_cfg::dma::kWrite, 2, 0x1000), fw_cfg::dma::kError);
    EXPECT_EQ(board.config->file("file"), bytes("abcd."));
}

TEST(FirmwareConfig, SelectionMakesAFileOnce) {
    Board board;
    board.config->set_file("file", bytes("old"));
    int made = 0;
    board.config->on_select("file", [&] {
        ++made;
        board.config->set_file("file", bytes("new"));
    });
    const uint16_t key = board.key_of("file");
    EXPECT_EQ(made, 0);
    EXPECT_EQ(board.read(key, 3), "new");
    EXPECT_EQ(board.read(key, 3), "new");
    EXPECT_EQ(made, 1);
    board.config->reset();
    EXPECT_EQ(board.run_dma(select(key) | fw_cfg::dma::kRead, 3, 0x1000), 0u);
    EXPECT_EQ(made, 2);
}

TEST(FirmwareConfig, AnAccessOutsideOfMemoryIsDropped) {
    Board board;
    EXPECT_EQ(board.run_dma(fw_cfg::dma::kRead, 1, 0, uint64_t{1} << 40), 0xdeadu);
}

}  // namespace
}  // namespace mynah
