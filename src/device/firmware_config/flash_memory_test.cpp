#include "device/firmware_config/flash_memory.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "device/firmware_config/flash28f_registers.h"

namespace mynah {
namespace {

constexpr uint64_t kStart = 0xffc00000, kSize = 0x4000;

struct Store final : FlashStore {
    void save(uint64_t offset, std::span<const std::byte> content) override {
        saves.push_back({offset, content.size()});
    }
    std::vector<std::pair<uint64_t, uint64_t>> saves;
};

struct Board {
    explicit Board(bool writable = true) {
        const GuestMemory::Range ram{GuestPhys(0), 1 << 16};
        memory = GuestMemory::create(std::span(&ram, 1), kSize).take_value();
        block = memory->take_block(kSize);
        for (uint64_t i = 0; i < kSize; ++i) block.host[i] = std::byte{0xa5};
        flash = std::make_unique<FlashMemory>(*memory, GuestPhys(kStart), block,
                                              writable ? &store : nullptr);
    }
    bool is_memory() const { return memory->host(GuestPhys(kStart), 1) != nullptr; }
    void command(flash::Command value, uint64_t at = 0) {
        flash->write(at, 1, static_cast<uint8_t>(value));
    }
    std::unique_ptr<GuestMemory> memory;
    GuestMemory::Block block;
    Store store;
    std::unique_ptr<FlashMemory> flash;
};

TEST(FlashMemory, IsMemoryWhileReadAsAnArray) {
    Board board;
    EXPECT_TRUE(board.is_memory());
    EXPECT_FALSE(board.memory->store(GuestPhys(kStart), uint8_t{0}));
    board.command(flash::Command::kReadStatus);
    EXPECT_FALSE(board.is_memory());
    EXPECT_EQ(board.flash->read(0x100, 1), 0u) << "how firmware recognizes flash";
    board.command(flash::Command::kReadArray);
    EXPECT_TRUE(board.is_memory());
}

TEST(FlashMemory, ProgramsOnlyZerosAndErasesBlocks) {
    Board board;
    board.command(flash::Command::kProgram);
    board.flash->write(0x1234, 1, 0x0f);
    EXPECT_EQ(board.block.host[0x1234], std::byte{0x05});
    EXPECT_EQ(board.flash->read(0, 1), flash::status::kReady);
    board.command(flash::Command::kErase);
    board.command(flash::Command::kConfirm, 0x1fff);
    EXPECT_EQ(board.block.host[0x1000], std::byte{0xff});
    EXPECT_EQ(board.block.host[0x1fff], std::byte{0xff});
    EXPECT_EQ(board.block.host[0x0fff], std::byte{0xa5});
    EXPECT_EQ(board.block.host[0x2000], std::byte{0xa5});
    EXPECT_TRUE(board.store.saves.empty());
    board.command(flash::Command::kReadArray);
    ASSERT_EQ(board.store.saves.size(), 1u);
    EXPECT_EQ(board.store.saves[0], (std::pair<uint64_t, uint64_t>{0x1000, 0x1000}));
}

TEST(FlashMemory, AnEraseThatIsNotConfirmedIsAnError) {
    Board board;
    board.command(flash::Command::kErase);
    board.command(flash::Command::kReadArray);
    EXPECT_EQ(board.flash->read(0, 1) & flash::status::kEraseError, flash::status::kEraseError);
    board.command(flash::Command::kClearStatus);
    EXPECT_TRUE(board.is_memory());
    EXPECT_EQ(board.block.host[0], std::byte{0xa5});
}

TEST(FlashMemory, ReadOnlyFlashChangesNothing) {
    Board board(false);
    board.command(flash::Command::kProgram);
    board.flash->write(0, 1, 0);
    EXPECT_EQ(board.flash->read(0, 1), flash::status::kReady | flash::status::kProgramError);
    board.command(flash::Command::kErase);
    board.command(flash::Command::kConfirm);
    EXPECT_EQ(board.block.host[0], std::byte{0xa5});
}

TEST(FlashMemory, ResetReadsTheArrayAndSaves) {
    Board board;
    board.command(flash::Command::kProgram);
    board.flash->write(5, 1, 0);
    board.flash->reset();
    EXPECT_TRUE(board.is_memory());
    EXPECT_EQ(board.store.saves.size(), 1u);
}

TEST(FlashMemory, TellsWhatItIs) {
    Board board;
    board.command(flash::Command::kReadCfi);
    EXPECT_EQ(board.flash->read(0x10, 1), 'Q');
    EXPECT_EQ(board.flash->read(0x27, 1), 14u);
    board.command(flash::Command::kReadId);
    EXPECT_EQ(board.flash->read(0, 1), flash::kManufacturer);
}

}  // namespace
}  // namespace mynah
