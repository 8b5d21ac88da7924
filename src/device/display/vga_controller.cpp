#include "device/display/vga_controller.h"

#include "spec/vga/vga_registers.h"

namespace mynah {
namespace {

constexpr PciIdentity kIdentity{.vendor = vga::kVendor,
                                .device = vga::kDevice,
                                .class_code = vga::kClass,
                                .revision = vga::kRevision,
                                .subsystem_vendor = vga::kSubsystemVendor,
                                .subsystem = vga::kSubsystem,
                                .interrupt_pin = 0};

}  // namespace

void add_vga(PciFunction& function, VgaAdapter& adapter, const GuestMemory::Block& video_memory,
             const std::optional<GuestMemory::Block>& rom) {
    function.add_memory_bar(0, PciFunction::Bar::kPrefetchable32, video_memory);
    function.add_bar(2, PciFunction::Bar::kMemory32, vga::kRegisterBytes, adapter.registers());
    if (rom) function.add_rom(*rom);
}

VgaController::VgaController(const PciAttachment& attachment, VgaAdapter& adapter,
                             const GuestMemory::Block& video_memory,
                             const std::optional<GuestMemory::Block>& rom)
    : adapter_(adapter), function_(attachment, kIdentity) {
    add_vga(function_, adapter, video_memory, rom);
}

void VgaController::reset() {
    function_.reset();
    adapter_.reset();
}

}  // namespace mynah
