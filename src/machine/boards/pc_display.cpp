#include <algorithm>
#include <cstring>
#include <optional>

#include "device/display/vga_controller.h"
#include "host/input_file.h"
#include "machine/boards/pc_board.h"
#include "machine/boards/pc_layout.h"
#include "machine/boards/virtio_card.h"
#include "spec/vga/vga_registers.h"

// The display adapter of a PC board: a VGA with a frame buffer and a BIOS of its own, which can be
// a virtio GPU as well; or the GPU alone; or none.
namespace mynah {
namespace {

constexpr uint64_t kVideoMemory = uint64_t{16} << 20;
constexpr uint64_t kVideoBiosLimit = 128 * 1024;
// Each is for one PCI identity.
constexpr const char* kVideoBios = "/usr/share/seabios/vgabios-stdvga.bin";
constexpr const char* kVirtioVideoBios = "/usr/share/seabios/vgabios-virtio.bin";

}  // namespace

// UEFI draws by itself; a BIOS without this one has no screen, but boots.
Result<std::optional<GuestMemory::Block>> PcBoard::load_video_bios(const char* path) {
    auto file = InputFile::open(path, "video BIOS", kVideoBiosLimit);
    if (!file) return std::optional<GuestMemory::Block>();
    const FileContent content = TRY(file.value().read());
    const auto bytes = content.bytes();
    const GuestMemory::Block rom = at_.memory.take_block(align_up(bytes.size(), kPageSize));
    std::memcpy(rom.host, bytes.data(), bytes.size());
    return std::optional(rom);
}

Result<void> PcBoard::add_display() {
    const VideoConfig& video = parts_.config.devices.video;
    const auto gpu = std::ranges::find_if(
        *parts_.virtio, [](const VirtioPlug& plug) { return plug.display != nullptr; });
    const bool has_gpu = gpu != parts_.virtio->end();
    if (video.model == VideoConfig::Model::kNone) return {};
    if (has_gpu && !video.vga.value_or(true)) {  // a card like others
        screen_.emplace(*gpu->display);
        return {};
    }
    return add_vga_card(has_gpu ? &*gpu : nullptr);
}

// gpu: what the card is besides; null: nothing.
Result<void> PcBoard::add_vga_card(VirtioPlug* gpu) {
    const VideoConfig& video = parts_.config.devices.video;
    const GuestMemory::Block memory = at_.memory.take_block(kVideoMemory);
    dirty_ = std::make_unique<DirtyLog>(at_.memory, memory);
    vga_ = std::make_unique<VgaAdapter>(
        at_.clock, at_.memory, memory, *dirty_,
        Monitor{.preferred_width = video.width, .preferred_height = video.height});
    const auto rom = TRY(load_video_bios(gpu != nullptr ? kVirtioVideoBios : kVideoBios));
    if (gpu == nullptr) {
        screen_.emplace(*vga_);
        auto& card = own<VgaController>(
            std::make_unique<VgaController>(attachment(pc::kDisplay, 0), *vga_, memory, rom),
            [](VgaController& controller) { controller.reset(); });
        root_bus_.add(pc::kDisplay, card.function());
    } else {
        vga_with_gpu_ = std::make_unique<VgaWithGpu>(*vga_, *gpu->display);
        screen_.emplace(*vga_with_gpu_);
        auto& card =
            own<VirtioCard>(std::make_unique<VirtioCard>(std::move(gpu->device),
                                                         attachment(pc::kDisplay), vga::kClass),
                            [this](VirtioCard& each) {
                                each.transport.reset();
                                vga_->reset();
                            });
        // The virtio structures are in BARs 1 and 4.
        add_vga(card.transport.function(), *vga_, memory, rom);
        add_card(pc::kDisplay, card);
    }
    has_display_ = true;
    TRY(at_.ports.add("vga", pc::kVgaPorts, pc::kVgaPortCount, vga_->ports()));
    TRY(at_.ports.add("dispi", pc::kDispiPorts, pc::kDispiPortCount, vga_->dispi_ports()));
    return at_.memory_space.add("vga window", pc::kVgaWindow, pc::kVgaWindowBytes, vga_->window());
}

}  // namespace mynah
