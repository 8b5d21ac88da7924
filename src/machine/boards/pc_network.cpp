#include <fmt/core.h>

#include <cstring>
#include <string>

#include "device/network/e1000.h"
#include "host/input_file.h"
#include "machine/boards/pc_board.h"
#include "machine/boards/virtio_card.h"
#include "machine/networks.h"
#include "paravirt/virtio/virtio_net.h"

// The network cards of a PC board.
namespace mynah {
namespace {

constexpr uint32_t kEthernet = 0x020000;  // class code
constexpr uint64_t kRomLimit = uint64_t{1} << 20;

// iPXE as packaged, for a BIOS and for UEFI in one image; empty where it is not installed: such a
// card works, but nothing boots from it.
Result<FileContent> boot_rom(std::string_view model) {
    const std::string path = fmt::format("/usr/lib/ipxe/qemu/efi-{}.rom", model);
    auto file = InputFile::open(path, "boot ROM", kRomLimit);
    if (!file) return FileContent{};
    return file.value().read();
}

}  // namespace

Result<void> PcBoard::add_network() {
    for (unsigned i = 0; i < parts_.networks.size(); ++i) TRY(add_network_card(i));
    return {};
}

Result<void> PcBoard::add_network_card(unsigned index) {
    using Model = NetworkConfig::Model;
    const NetworkConfig& config = parts_.config.networks[index];
    NetworkBackend& backend = *parts_.networks[index];
    const MacAddress address = card_address(config, parts_.config.name, index);
    const PciSlot slot = take_card_slot();
    switch (config.model) {
        case Model::kDefault:
        case Model::kE1000: {
            const FileContent rom = TRY(boot_rom("e1000"));
            auto& card = own<E1000>(std::make_unique<E1000>(attachment(slot), at_.clock, backend,
                                                            address, rom.bytes()),
                                    [](E1000& device) { device.reset(); });
            root_bus_.add(slot, card.function());
            break;
        }
        case Model::kRtl8139:
            return Error("--network: model=rtl8139: this version has no such card");
        case Model::kVirtio: {
            VirtioNetOptions options{.address = address, .mtu = config.mtu};
            auto& card = own<VirtioCard>(
                std::make_unique<VirtioCard>(std::make_unique<VirtioNet>(backend, options),
                                             attachment(slot), kEthernet),
                [](VirtioCard& device) { device.transport.reset(); });
            const FileContent rom = TRY(boot_rom("virtio"));
            if (const auto bytes = rom.bytes(); !bytes.empty()) {
                const uint64_t pages = (bytes.size() + kPageSize - 1) / kPageSize;
                const GuestMemory::Block block = at_.memory.take_block(pages * kPageSize);
                std::memcpy(block.host, bytes.data(), bytes.size());
                card.transport.function().add_rom(block);
            }
            root_bus_.add(slot, card.transport.function());
            break;
        }
    }
    add_boot_path(BootConfig::Device::kNetwork,
                  fmt::format("/pci@i0cf8/ethernet@{:x}/ethernet-phy@0", slot.device));
    return {};
}

}  // namespace mynah
