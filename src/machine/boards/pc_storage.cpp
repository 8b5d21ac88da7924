#include <fmt/core.h>

#include <algorithm>

#include "device/storage/nvme_controller.h"
#include "device/storage/piix3_ide.h"
#include "device/usb/usb_storage.h"
#include "device/usb/xhci.h"
#include "machine/boards/pc_board.h"
#include "machine/boards/pc_layout.h"
#include "machine/boards/virtio_card.h"
#include "machine/disks.h"
#include "machine/virtio_options.h"
#include "paravirt/virtio/virtio_block.h"

// The disks and CD drives of a PC board, each behind the controller its option names.
namespace mynah {
namespace {

constexpr uint32_t kMassStorage = 0x010000;  // class code: SCSI controller, as drivers expect

BootConfig::Device boot_kind(const DiskConfig& config) {
    return config.cdrom ? BootConfig::Device::kCdrom : BootConfig::Device::kDisk;
}

}  // namespace

Result<void> PcBoard::add_storage() {
    // The chipset's own controller is there without disks, too.
    sata_ = &own<AhciController>(
        std::make_unique<AhciController>(attachment(pc::kSata, 2), AhciOptions{}),
        [](AhciController& controller) { controller.reset(); });
    root_bus_.add(pc::kSata, sata_->function());
    for (size_t i = 0; i < parts_.disks.size(); ++i) TRY(add_disk(i));
    return {};
}

Result<void> PcBoard::add_disk(size_t index) {
    const DiskConfig& config = parts_.config.disks[index];
    if (config.cdrom && config.bus != DiskBus::kDefault && config.bus != DiskBus::kSata &&
        config.bus != DiskBus::kIde && config.bus != DiskBus::kScsi) {
        return Error(fmt::format("--disk: {}: a CD drive is on bus=sata, bus=ide or bus=scsi", config.path));
    }
    const DiskBus usual = config.virtio.given() ? DiskBus::kVirtio : DiskBus::kSata;
    switch (config.bus == DiskBus::kDefault ? usual : config.bus) {
        case DiskBus::kDefault:
        case DiskBus::kSata:
            return add_sata_disk(index);
        case DiskBus::kIde:
            return add_ide_disk(index);
        case DiskBus::kNvme:
            return add_nvme_disk(index);
        case DiskBus::kUsb:
            return add_usb_disk(index);
        case DiskBus::kVirtio:
            return add_virtio_disk(index);
        case DiskBus::kScsi:
            break;  // behind a card of its own, one of the virtio devices
    }
    return {};
}

std::string PcBoard::disk_serial(size_t index) const {
    return mynah::disk_serial(parts_.config, parts_.config.disks[index], index);
}

Result<void> PcBoard::add_sata_disk(size_t index) {
    const DiskConfig& config = parts_.config.disks[index];
    if (sata_ports_ == Ahci::kPortCount)
        return Error(
            fmt::format("--disk: {}: all {} SATA ports are taken", config.path, Ahci::kPortCount));
    const unsigned port = sata_ports_++;
    if (config.cdrom) {
        sata_->attach_cdrom(port, {.serial = disk_serial(index)});
        cd_places_[index] = {DiskBus::kSata, port};
        if (parts_.disks[index] != nullptr) insert_medium(index, *parts_.disks[index]);
    } else {
        sata_->attach_disk(port, *parts_.disks[index], {.serial = disk_serial(index)});
    }
    add_boot_path(boot_kind(config),
                  fmt::format("/pci@i0cf8/pci8086,2922@1f,2/drive@{:x}/disk@0", port));
    return {};
}

// Only with a disk of its own: a PC with SATA has none.
Result<void> PcBoard::add_ide_disk(size_t index) {
    const DiskConfig& config = parts_.config.disks[index];
    if (ide_ == nullptr) {
        ide_ = &own<Piix3Ide>(
            std::make_unique<Piix3Ide>(attachment(pc::kIde, 0), router_.isa(pc::kIdeIrqs[0]),
                                       router_.isa(pc::kIdeIrqs[1])),
            [](Piix3Ide& controller) { controller.reset(); });
        root_bus_.add(pc::kIde, ide_->function());
    }
    constexpr unsigned kPlaces = 4;  // two devices a channel
    if (ide_places_ == kPlaces)
        return Error(fmt::format("--disk: {}: all {} IDE places are taken", config.path, kPlaces));
    const unsigned channel = ide_places_ / 2, device = ide_places_ % 2;
    ++ide_places_;
    if (config.cdrom) {
        ide_->attach_cdrom(channel, device, {.serial = disk_serial(index)});
        cd_places_[index] = {DiskBus::kIde, 2 * channel + device};
        if (parts_.disks[index] != nullptr) insert_medium(index, *parts_.disks[index]);
    } else {
        ide_->attach_disk(channel, device, *parts_.disks[index], {.serial = disk_serial(index)});
    }
    add_boot_path(boot_kind(config),
                  fmt::format("/pci@i0cf8/ide@1f,1/drive@{:x}/disk@{:x}", channel, device));
    return {};
}

void PcBoard::insert_medium(size_t disk, BlockBackend& medium) {
    const CdPlace at = cd_places_.at(disk);
    if (at.bus == DiskBus::kSata) {
        sata_->insert(at.place, medium);
    } else {
        ide_->insert(at.place / 2, at.place % 2, medium);
    }
}

bool PcBoard::eject_medium(size_t disk, bool force) {
    const CdPlace at = cd_places_.at(disk);
    return at.bus == DiskBus::kSata ? sata_->eject(at.place, force)
                                    : ide_->eject(at.place / 2, at.place % 2, force);
}

Board::Tray PcBoard::tray(size_t disk) {
    const CdPlace at = cd_places_.at(disk);
    const CdDriveState state = at.bus == DiskBus::kSata
                                   ? sata_->cd_state(at.place)
                                   : ide_->cd_state(at.place / 2, at.place % 2);
    return {state.tray_open, state.locked};
}

Result<void> PcBoard::add_nvme_disk(size_t index) {
    const PciSlot slot = TRY(take_card_slot());
    auto& card = own<NvmeController>(
        std::make_unique<NvmeController>(attachment(slot), *parts_.disks[index],
                                         NvmeOptions{.serial = disk_serial(index)}),
        [](NvmeController& controller) { controller.reset(); });
    root_bus_.add(slot, card.function());
    add_boot_path(BootConfig::Device::kDisk,
                  fmt::format("/pci@i0cf8/pci8086,5845@{:x}/namespace@1,0", slot.device));
    return {};
}

Result<void> PcBoard::add_usb_disk(size_t index) {
    if (usb_ == nullptr)
        return Error("--disk: bus=usb needs a USB controller; expected --controller usb,model=xhci "
                     "or ehci");
    ScsiDiskOptions options;
    options.product = "USB Disk";
    options.serial = fmt::format("{:012X}", index + 1);
    auto& disk = own<UsbStorage>(std::make_unique<UsbStorage>(*parts_.disks[index], options),
                                 [](UsbStorage&) {});
    const auto port = usb_->plug(disk);
    if (!port)
        return Error(
            fmt::format("--disk: {}: {}", parts_.config.disks[index].path, port.error().message()));
    // SeaBIOS counts an xHCI's ports of either speed from 1, OVMF all in a row.
    const unsigned number = port.value() + 1;
    if (is_xhci()) add_usb_boot_path(port.value() % Xhci::kUsb2Ports + 1);
    if (!is_xhci() || port.value() >= Xhci::kUsb2Ports) add_usb_boot_path(number);
    return {};
}

void PcBoard::add_usb_boot_path(unsigned port) {
    const std::string function =
        usb_slot_.function != 0 ? fmt::format(",{:x}", usb_slot_.function) : "";
    add_boot_path(BootConfig::Device::kDisk,
                  fmt::format("/pci@i0cf8/usb@{:x}{}/storage@{:x}/channel@0/disk@0,0",
                              usb_slot_.device, function, port));
}

Result<void> PcBoard::add_virtio_disk(size_t index) {
    const DiskConfig& config = parts_.config.disks[index];
    const VirtioBlockOptions options = virtio_block_options(parts_.config, config, index);
    const PciSlot slot = TRY(take_card_slot());
    auto& card =
        own<VirtioCard>(std::make_unique<VirtioCard>(
                            std::make_unique<VirtioBlock>(*parts_.disks[index], options),
                            attachment(slot, config.virtio), kMassStorage,
                            usual_interface(config.virtio)),
                        [](VirtioCard& device) { device.transport.reset(); });
    add_card(slot, card);
    add_boot_path(BootConfig::Device::kDisk,
                  fmt::format("/pci@i0cf8/scsi@{:x}/disk@0,0", slot.device));
    return {};
}

}  // namespace mynah
