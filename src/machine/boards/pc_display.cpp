#include <cstring>
#include <optional>

#include "device/display/vga_controller.h"
#include "host/input_file.h"
#include "machine/boards/pc_board.h"
#include "machine/boards/pc_layout.h"

// The display adapter of a PC board: a VGA with a frame buffer and a BIOS of its own.
namespace mynah {
namespace {

constexpr uint64_t kVideoMemory = uint64_t{16} << 20;
constexpr uint64_t kVideoBiosLimit = 128 * 1024;
constexpr const char* kVideoBios = "/usr/share/seabios/vgabios-stdvga.bin";

}  // namespace

Result<void> PcBoard::add_display() {
    const GuestMemory::Block memory = at_.memory.take_block(kVideoMemory);
    dirty_ = std::make_unique<DirtyLog>(at_.memory, memory);
    vga_ = std::make_unique<VgaAdapter>(at_.clock, at_.memory, memory, *dirty_, Monitor{});
    screen_.emplace(*vga_);

    // UEFI draws by itself; a BIOS without this one has no screen, but boots.
    std::optional<GuestMemory::Block> rom;
    if (auto file = InputFile::open(kVideoBios, "video BIOS", kVideoBiosLimit)) {
        const FileContent content = TRY(file.value().read());
        const auto bytes = content.bytes();
        rom = at_.memory.take_block((bytes.size() + kPageSize - 1) / kPageSize * kPageSize);
        std::memcpy(rom->host, bytes.data(), bytes.size());
    }
    auto& card = own<VgaController>(
        std::make_unique<VgaController>(attachment(pc::kDisplay, 0), *vga_, memory, rom),
        [](VgaController& controller) { controller.reset(); });
    root_bus_.add(pc::kDisplay, card.function());
    has_display_ = true;
    TRY(at_.ports.add("vga", pc::kVgaPorts, pc::kVgaPortCount, vga_->ports()));
    TRY(at_.ports.add("dispi", pc::kDispiPorts, pc::kDispiPortCount, vga_->dispi_ports()));
    return at_.memory_space.add("vga window", pc::kVgaWindow, pc::kVgaWindowBytes, vga_->window());
}

}  // namespace mynah
