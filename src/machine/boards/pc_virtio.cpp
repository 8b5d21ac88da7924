#include "machine/boards/pc_board.h"
#include "machine/boards/pc_layout.h"
#include "machine/boards/virtio_card.h"

// The virtio devices that are neither disks nor networks: a card each.
namespace mynah {

Result<void> PcBoard::add_virtio_devices() {
    for (VirtioPlug& plug : *parts_.virtio) {
        if (next_card_ > pc::kLastCard)
            return Error("--machine pc: more devices than slots for cards");
        if (plug.keys != nullptr) input_.add(*plug.keys);
        if (plug.pointer != nullptr) input_.add(*plug.pointer);
        const PciSlot slot = take_card_slot();
        auto& card = own<VirtioCard>(
            std::make_unique<VirtioCard>(std::move(plug.device), attachment(slot), plug.pci_class),
            [](VirtioCard& each) { each.transport.reset(); });
        root_bus_.add(slot, card.transport.function());
    }
    return {};
}

}  // namespace mynah
