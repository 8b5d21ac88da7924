#include "device/display/vga_controller.h"

#include <gtest/gtest.h>

#include "spec/vga/dispi_registers.h"
#include "spec/vga/vga_registers.h"
#include "testing/manual_clock.h"
#include "testing/recording_line.h"
#include "testing/recording_msi_sink.h"

namespace mynah {
namespace {

class NothingDirty final : public DirtyPages {
  public:
    void collect(std::span<uint64_t> bits) override { std::fill(bits.begin(), bits.end(), 0); }
};

class VgaControllerTest : public ::testing::Test {
  protected:
    static constexpr uint64_t kVideoBytes = 16 << 20, kRomBytes = 40 << 10;
    static std::unique_ptr<GuestMemory> make_memory() {
        const GuestMemory::Range range{GuestPhys(0), 1 << 20};
        return GuestMemory::create(std::span(&range, 1), kVideoBytes + kRomBytes).take_value();
    }
    uint32_t config(unsigned offset) { return controller.function().config_read(offset, 4); }
    void config(unsigned offset, uint32_t value) {
        controller.function().config_write(offset, 4, value);
    }
    static GuestMemory::Block rom_block(GuestMemory& memory) {
        const GuestMemory::Block block = memory.take_block(kRomBytes);
        block.host[0] = std::byte{0x55};
        block.host[1] = std::byte{0xaa};
        return block;
    }

    testing::ManualClock clock;
    std::unique_ptr<GuestMemory> memory = make_memory();
    GuestMemory::Block video = memory->take_block(kVideoBytes);
    NothingDirty dirty;
    IoSpace ports, memory_space;
    testing::RecordingLine intx;
    testing::RecordingMsiSink msi;
    VgaAdapter adapter{clock, *memory, video, dirty, Monitor{}};
    VgaController controller{
        {ports, memory_space, *memory, intx, msi}, adapter, video, rom_block(*memory)};
};

TEST_F(VgaControllerTest, IsTheStandardVga) {
    EXPECT_EQ(config(0x00), 0x11111234u);
    EXPECT_EQ(config(0x08), 0x03000002u);
    EXPECT_EQ(config(0x2c), 0x11001af4u);
    EXPECT_EQ(config(0x3c) >> 8 & 0xff, 0u);  // no interrupt
}

TEST_F(VgaControllerTest, SizesOfItsRanges) {
    config(0x10, ~0u);
    EXPECT_EQ(config(0x10), 0xff000008u);  // 16 MiB, prefetchable
    config(0x18, ~0u);
    EXPECT_EQ(config(0x18), 0xfffff000u);
    config(0x30, ~1u);
    EXPECT_EQ(config(0x30), 0xffff0000u);  // 64 KiB
}

TEST_F(VgaControllerTest, FrameBufferAndRegistersAppearWhereTheyArePut) {
    config(0x10, 0xd0000000);
    config(0x18, 0xd2000000);
    EXPECT_EQ(memory->host(GuestPhys(0xd0000000), 4), nullptr);
    config(0x04, 2);
    EXPECT_EQ(memory->host(GuestPhys(0xd0000000), 4), video.host);
    EXPECT_EQ(memory->host(GuestPhys(0xd0fff000), 4096), video.host + kVideoBytes - 4096);
    EXPECT_EQ(memory_space.read(0xd2000000 + vga::kDispiOffset, 2), dispi::kIdLatest);
    EXPECT_EQ(memory_space.read(0xd2000000, 8), 0x00ffffffffffff00u);
    config(0x30, 0xd3000001);
    const std::byte* rom = memory->host(GuestPhys(0xd3000000), 2);
    ASSERT_NE(rom, nullptr);
    EXPECT_EQ(rom[1], std::byte{0xaa});
    controller.reset();
    EXPECT_EQ(memory->host(GuestPhys(0xd0000000), 4), nullptr);
}

}  // namespace
}  // namespace mynah
