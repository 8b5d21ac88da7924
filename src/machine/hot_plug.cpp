// Devices that come and go while a machine runs.

#include <fmt/core.h>

#include "machine/boards/hot_slots.h"
#include "machine/disks.h"
#include "machine/followed.h"
#include "machine/machine.h"
#include "machine/networks.h"
#include "machine/virtio_options.h"

namespace mynah {
namespace {

// Class codes as drivers expect them.
constexpr uint32_t kMassStorage = 0x010000, kEthernetController = 0x020000;

// What goes after a card.
template <typename Backend>
struct Behind {
    Behind(std::shared_ptr<void> device_place, std::shared_ptr<void> network_place,
           std::unique_ptr<Backend> made)
        : followed(std::move(device_place)),
          counted(std::move(network_place)),
          backend(std::move(made)) {}
    std::shared_ptr<void> followed, counted;  // places in the machine's record
    std::unique_ptr<Backend> backend;
};

}  // namespace

Result<HotSlots*> Machine::hot_slots() const {
    HotSlots* const slots = board_->hot_slots();
    if (slots == nullptr)
        return Error("this machine has no slots; expected one of mynah run --machine pc");
    return slots;
}

MediumTrays& Machine::trays(size_t disk) const {
    if (config_.disks[disk].bus == DiskBus::kScsi) return *scsi_;
    return *board_;
}

Result<void> Machine::attach_scsi_disk(const std::string& id, const DiskConfig& config) {
    for (const std::string& other : attached())
        if (other == id) return Error(fmt::format("id '{}' is taken", id));
    TRY(scsi_->check_place(config.scsi));
    std::unique_ptr<BlockBackend> opened = TRY(open_disk(config, slow_work_));
    const size_t index = config_.disks.size() + next_attached_++;
    return scsi_->attach(id, config, std::move(opened), disk_serial(config_, config, index));
}

Result<void> Machine::attach_disk(const std::string& id, const DiskConfig& config) {
    if (config.cdrom) return Error("a CD drive cannot be attached; expected a disk");
    if (config.bus == DiskBus::kScsi) return attach_scsi_disk(id, config);
    HotSlots* const slots = TRY(hot_slots());
    if (config.bus != DiskBus::kDefault && config.bus != DiskBus::kVirtio)
        return Error("a disk that is attached to a running machine is on bus=virtio or bus=scsi");
    std::vector<std::unique_ptr<BlockBackend>> opened = TRY(open_disks({config}, slow_work_));
    const size_t index = config_.disks.size() + next_attached_++;
    HotCard card;
    card.id = id;
    card.class_code = kMassStorage;
    card.device = std::make_unique<VirtioBlock>(*opened.front(),
                                                virtio_block_options(config_, config, index));
    auto followed = follow(record_, *card.device, id);
    card.backend = std::make_shared<Behind<BlockBackend>>(std::move(followed), nullptr,
                                                          std::move(opened.front()));
    return slots->plug(std::move(card));
}

Result<void> Machine::attach_network(const std::string& id, const NetworkConfig& config) {
    HotSlots* const slots = TRY(hot_slots());
    using Model = NetworkConfig::Model;
    if (config.model != Model::kDefault && config.model != Model::kVirtio)
        return Error(
            "a card that is attached to a running machine is virtio; expected model=virtio");
    std::vector<std::unique_ptr<NetworkBackend>> opened = TRY(open_networks({config}));
    const size_t index = config_.networks.size() + next_attached_++;
    auto counted = follow(record_, opened.front(), network_place(config, id));
    HotCard card;
    card.id = id;
    card.class_code = kEthernetController;
    card.device =
        std::make_unique<VirtioNet>(*opened.front(), virtio_net_options(config_, config, index));
    auto followed = follow(record_, *card.device, id);
    card.backend = std::make_shared<Behind<NetworkBackend>>(
        std::move(followed), std::move(counted), std::move(opened.front()));
    return slots->plug(std::move(card));
}

Result<void> Machine::detach(const std::string& id) {
    if (scsi_->detach(id)) return {};
    HotSlots* const slots = TRY(hot_slots());
    return slots->request_unplug(id);
}

std::vector<std::string> Machine::attached() const {
    HotSlots* const slots = board_->hot_slots();
    std::vector<std::string> ids = scsi_->attached();
    if (slots == nullptr) return ids;
    for (std::string& id : slots->ids()) ids.push_back(std::move(id));
    return ids;
}

}  // namespace mynah
