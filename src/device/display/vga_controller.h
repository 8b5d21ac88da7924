#pragma once

#include <optional>

#include "bus/pci/pci_function.h"
#include "device/display/vga_adapter.h"

namespace mynah {

// Gives a function what a VgaAdapter has: frame buffer in BAR 0, registers in BAR 2, the video
// BIOS, if there is one, as its expansion ROM.
void add_vga(PciFunction& function, VgaAdapter& adapter, const GuestMemory::Block& video_memory,
             const std::optional<GuestMemory::Block>& rom);

// The PCI function around a VgaAdapter: frame buffer in BAR 0, registers in BAR 2, the video BIOS
// as its expansion ROM. It is the one systems know as the Bochs or standard VGA. The fixed ports
// and the window at A0000h are placed by the board and answer whatever the command register says,
// as firmware that sizes BARs while it prints expects.
class VgaController {
  public:
    // rom: a block that holds the video BIOS, if there is one.
    VgaController(const PciAttachment& attachment, VgaAdapter& adapter,
                  const GuestMemory::Block& video_memory,
                  const std::optional<GuestMemory::Block>& rom);

    PciFunction& function() { return function_; }
    void reset();

  private:
    VgaAdapter& adapter_;
    PciFunction function_;
};

}  // namespace mynah
