#include "machine/boards/pc_board.h"
#include "machine/boards/virtio_card.h"
#include "paravirt/virtio/iommu/virtio_iommu.h"

// The IOMMU of a PC board: a virtio card whose driver decides what the functions of bus 0 reach.
// Cards in slots for hot plugging are not behind it.
namespace mynah {

Result<void> PcBoard::add_iommu() {
    constexpr uint32_t kIommuClass = 0x080600;
    if (iommu_ == nullptr) return {};
    const PciSlot slot = TRY(take_card_slot());
    auto device = std::make_unique<VirtioIommu>(*iommu_, at_.slow_work);
    VirtioIommu& iommu = *device;
    auto& card = own<VirtioCard>(
        std::make_unique<VirtioCard>(std::move(device), direct_attachment(slot), kIommuClass),
        [&iommu](VirtioCard& each) {
            each.transport.reset();
            iommu.power_on();
        });
    add_card(slot, card);
    iommu_slot_ = slot;
    return {};
}

}  // namespace mynah
