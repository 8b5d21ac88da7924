#include <fmt/core.h>

#include "machine/boards/pc_board.h"
#include "machine/boards/pc_layout.h"
#include "machine/boards/virtio_card.h"
#include "machine/followed.h"

// The virtio devices that are neither disks nor networks of this process: a card each.
namespace mynah {

void PcBoard::add_card(PciSlot slot, VirtioCard& card) {
    card.followed = follow(at_.record, *card.device,
                           fmt::format("00:{:02x}.{}", slot.device, slot.function));
    root_bus_.add(slot, card.transport.function());
}

Result<void> PcBoard::add_virtio_devices() {
    for (VirtioPlug& plug : *parts_.virtio) {
        if (plug.device == nullptr) continue;  // it is a part of the VGA's card
        if (plug.keys != nullptr) input_.add(*plug.keys);
        if (plug.pointer != nullptr) input_.add(*plug.pointer);
        const PciSlot slot = TRY(take_card_slot());
        const PciAttachment place = plug.direct ? direct_attachment(slot) : attachment(slot);
        auto& card = own<VirtioCard>(
            std::make_unique<VirtioCard>(std::move(plug.device), place, plug.pci_class,
                                         plug.transitional ? VirtioPci::Interface::kTransitional
                                                           : VirtioPci::Interface::kModern),
            [](VirtioCard& each) { each.transport.reset(); });
        add_card(slot, card);
        for (const VirtioPlug::Bootable& each : plug.bootable) {
            add_boot_path(each.cdrom ? BootConfig::Device::kCdrom : BootConfig::Device::kDisk,
                          fmt::format("/pci@i0cf8/scsi@{:x}/{}", slot.device, each.path));
        }
    }
    return {};
}

}  // namespace mynah
