#include "device/display/vga_adapter.h"

#include <gtest/gtest.h>

#include "device/display/vga_fixture_test.h"
#include "testing/manual_clock.h"

namespace mynah {
namespace {

// Remembers pages as an engine would.
class ScriptedDirtyPages final : public DirtyPages {
  public:
    void collect(std::span<uint64_t> bits) override {
        std::fill(bits.begin(), bits.end(), first ? ~uint64_t{0} : 0);
        first = false;
        for (const size_t page : pages) bits[page / 64] |= uint64_t{1} << page % 64;
        pages.clear();
    }
    bool first = true;
    std::vector<size_t> pages;
};

class CountingListener final : public WriteWatch::Listener {
  public:
    void written(uint64_t, unsigned, unsigned) override { ++calls; }
    int calls = 0;
};

class VgaAdapterTest : public ::testing::Test {
  protected:
    static constexpr uint64_t kBytes = 1 << 20;
    static std::unique_ptr<GuestMemory> make_memory() {
        const GuestMemory::Range range{GuestPhys(0), 1 << 20};
        return GuestMemory::create(std::span(&range, 1), kBytes).take_value();
    }
    void port(uint16_t number, unsigned value) {
        adapter.ports().write(number - vga::kFirstPort, 1, value);
    }
    void dispi_register(unsigned index, unsigned value) {
        adapter.registers().write(vga::kDispiOffset + 2 * index, 2, value);
    }

    testing::ManualClock clock;
    std::unique_ptr<GuestMemory> memory = make_memory();
    GuestMemory::Block block = memory->take_block(kBytes);
    ScriptedDirtyPages dirty;
    VgaAdapter adapter{clock, *memory, block, dirty, Monitor{}};
    Surface surface;
    std::vector<Rect> changed;
};

TEST_F(VgaAdapterTest, RegistersInMemory) {
    IoHandler& registers = adapter.registers();
    EXPECT_EQ(registers.read(0, 8), 0x00ffffffffffff00u);
    EXPECT_EQ(registers.read(128, 4), 0u);
    EXPECT_EQ(registers.read(vga::kDispiOffset, 2), 0xb0c5u);
    dispi_register(dispi::kXRes, 640);
    EXPECT_EQ(registers.read(vga::kDispiOffset + 2, 2), 640u);
    EXPECT_EQ(registers.read(vga::kExtensionOffset, 4), 8u);
    EXPECT_EQ(registers.read(vga::kExtensionOffset + 4, 4), vga::kLittleEndian);
    // Port 3C2h is the miscellaneous output, read at 3CCh.
    registers.write(vga::kVgaOffset + 2, 1, 0x67);
    EXPECT_EQ(registers.read(vga::kVgaOffset + 0xc, 1), 0x67u);
    EXPECT_EQ(adapter.ports().read(vga::kMiscRead - vga::kFirstPort, 1), 0x67u);
    registers.write(vga::kRegisterBytes - 4, 4, ~0u);
    EXPECT_EQ(registers.read(vga::kRegisterBytes - 4, 4), 0u);
}

TEST_F(VgaAdapterTest, WordsToPortsAreIndexAndData) {
    adapter.ports().write(vga::kSequencerIndex - vga::kFirstPort, 2, 0x0b02);
    EXPECT_EQ(adapter.ports().read(vga::kSequencerIndex - vga::kFirstPort, 2), 0x0b02u);
}

TEST_F(VgaAdapterTest, DispiPortsTakeTheDataAtOddAndEven) {
    IoHandler& ports = adapter.dispi_ports();
    ports.write(0, 2, dispi::kXRes);
    ports.write(1, 2, 800);
    EXPECT_EQ(ports.read(2, 2), 800u);
    ports.write(0, 2, dispi::kYRes);
    ports.write(2, 2, 600);
    EXPECT_EQ(ports.read(1, 2), 600u);
    EXPECT_EQ(ports.read(0, 2), unsigned{dispi::kYRes});
}

TEST_F(VgaAdapterTest, PictureFollowsProcessorsAndTheWindow) {
    port(vga::kMiscWrite, 0x63);
    adapter.ports().read(vga::kStatus1Colour - vga::kFirstPort, 1);
    port(vga::kAttributeIndex, 0x20);
    dispi_register(dispi::kXRes, 256);
    dispi_register(dispi::kYRes, 128);
    dispi_register(dispi::kBpp, 32);
    dispi_register(dispi::kEnable, 0x41);
    adapter.refresh(surface, changed);
    EXPECT_EQ(changed, (std::vector<Rect>{{0, 0, 256, 128}}));
    changed.clear();
    block.host[4 * (256 * 4 + 7)] = std::byte{0x42};
    dirty.pages.push_back(1);
    adapter.window().write(4 * (256 * 8 + 9), 4, 0x112233);
    adapter.refresh(surface, changed);
    EXPECT_EQ(changed, (std::vector<Rect>{{7, 4, 1, 1}, {9, 8, 1, 1}}));
    EXPECT_EQ(surface.at(7, 4), 0x42u);
    EXPECT_EQ(surface.at(9, 8), 0x112233u);
    EXPECT_EQ(adapter.window().read(4 * (256 * 8 + 9), 4), 0x112233u);
    adapter.reset();
    changed.clear();
    adapter.refresh(surface, changed);
    EXPECT_EQ(surface.at(9, 8), 0u);
}

TEST_F(VgaAdapterTest, WhoWatchesVideoMemoryHearsOfTheWindow) {
    CountingListener listener;
    const unsigned index = memory->watch().add(listener);
    memory->watch().watch(memory->watch().page_of(block.host), index);
    port(vga::kMiscWrite, 0x63);
    port(vga::kSequencerIndex, 2);
    port(vga::kSequencerIndex + 1, 0xf);
    adapter.window().write(0, 1, 0xff);
    EXPECT_GT(listener.calls, 0);
    memory->watch().remove(listener);
}

}  // namespace
}  // namespace mynah
