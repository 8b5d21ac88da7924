#include <fmt/core.h>

#include <algorithm>

#include "device/network/e1000.h"
#include "device/network/rtl8139.h"
#include "machine/boards/pc_board.h"
#include "machine/boards/virtio_card.h"
#include "machine/networks.h"
#include "machine/option_rom.h"
#include "machine/virtio_options.h"
#include "paravirt/virtio/virtio_net.h"

// Network cards. Where nothing else is said a card is an e1000, which every system knows.
namespace mynah {
namespace {

using Model = NetworkConfig::Model;

constexpr uint32_t kEthernetController = 0x020000;

// The ROM is one for the transitional device, whose identity is another.
void add_rom(const PciAttachment& attachment, PciFunction& function, std::vector<std::byte> rom) {
    if (rom.empty()) return;
    retarget_option_rom(rom, static_cast<uint16_t>(function.config_read(0, 2)),
                        static_cast<uint16_t>(function.config_read(2, 2)));
    const GuestMemory::Block block = attachment.memory.take_block(align_up(rom.size(), kPageSize));
    std::copy(rom.begin(), rom.end(), block.host);
    function.add_rom(block);
}

}  // namespace

Result<void> PcBoard::add_network() {
    for (size_t i = 0; i < parts_.networks.size(); ++i) TRY(add_network_card(i));
    return {};
}

Result<void> PcBoard::add_network_card(size_t index) {
    const NetworkConfig& config = parts_.config.networks[index];
    const Model usual = config.wants_virtio() ? Model::kVirtio : Model::kE1000;
    const Model model = config.model == Model::kDefault ? usual : config.model;
    NetworkBackend& backend = *parts_.networks[index];
    const MacAddress address =
        card_address(config, parts_.config.identity, static_cast<unsigned>(index));
    // Without firmware nobody would run it.
    const std::vector<std::byte> rom =
        parts_.firmware != nullptr ? network_boot_rom(model) : std::vector<std::byte>();
    const PciSlot slot = TRY(take_card_slot());
    const PciAttachment place = attachment(slot, config.virtio);
    if (model == Model::kE1000) {
        auto& card = own<E1000>(std::make_unique<E1000>(place, at_.clock, backend, address, rom),
                                [](E1000& each) { each.reset(); });
        root_bus_.add(slot, card.function());
    } else if (model == Model::kRtl8139) {
        auto& card =
            own<Rtl8139>(std::make_unique<Rtl8139>(place, at_.clock, backend, address, rom),
                         [](Rtl8139& each) { each.reset(); });
        root_bus_.add(slot, card.function());
    } else {
        const VirtioNetOptions options = virtio_net_options(parts_.config, config, index);
        auto& card = own<VirtioCard>(
            std::make_unique<VirtioCard>(std::make_unique<VirtioNet>(backend, options), place,
                                         kEthernetController, usual_interface(config.virtio)),
            [](VirtioCard& each) { each.transport.reset(); });
        add_rom(place, card.transport.function(), rom);
        add_card(slot, card);
    }
    add_boot_path(BootConfig::Device::kNetwork,
                  fmt::format("/pci@i0cf8/ethernet@{:x}/ethernet-phy@0", slot.device));
    return {};
}

}  // namespace mynah
