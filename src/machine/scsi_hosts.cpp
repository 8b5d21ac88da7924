#include "machine/scsi_hosts.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.h"
#include "machine/disks.h"
#include "machine/virtio_options.h"
#include "paravirt/virtio/scsi/virtio_scsi.h"
#include "scsi/cd_drive.h"
#include "scsi/scsi_disk.h"

namespace mynah {
namespace {

constexpr uint32_t kScsiController = 0x010000;  // PCI class code
// What a guest has for writing its cache back when it is told that a disk goes.
constexpr std::chrono::milliseconds kFarewell{5000};

std::unique_ptr<ScsiUnit> make_disk(const DiskConfig& config, BlockBackend& disk,
                                    const std::string& serial) {
    ScsiDiskOptions options;
    options.vendor = "MYNAH";
    options.product = "DISK";
    options.serial = serial;
    options.write_cache = config.guest_cache();
    options.provisioning = options.attentions = options.queued = true;
    return std::make_unique<ScsiDisk>(disk, options);
}

std::string place_name(const ScsiAddress& address) {
    return fmt::format("target={},lun={}", address.target, address.lun);
}

}  // namespace

ScsiHosts::~ScsiHosts() = default;

Result<std::unique_ptr<ScsiHosts>> ScsiHosts::make(
    const MachineConfig& config, std::span<const std::unique_ptr<BlockBackend>> disks) {
    std::unique_ptr<ScsiHosts> hosts(new ScsiHosts);
    TRY(hosts->add_hosts(config));
    for (size_t i = 0; i < config.disks.size(); ++i) {
        if (config.disks[i].bus == DiskBus::kScsi) TRY(hosts->add_disk(config, i, disks[i].get()));
    }
    return hosts;
}

Result<void> ScsiHosts::add_hosts(const MachineConfig& config) {
    std::vector<ScsiHostConfig> wanted = config.scsi_hosts;
    const bool needed = std::ranges::any_of(
        config.disks, [](const DiskConfig& disk) { return disk.bus == DiskBus::kScsi; });
    if (wanted.empty() && needed) wanted.emplace_back();
    MutexLock lock(mutex_);
    for (size_t i = 0; i < wanted.size(); ++i) {
        std::string id = wanted[i].id.empty() ? fmt::format("scsi{}", i) : wanted[i].id;
        if (std::ranges::find(hosts_, id, &Host::id) != hosts_.end())
            return Error(fmt::format("--controller: id={}: was given before", id));
        auto device = std::make_unique<VirtioScsi>(virtio_scsi_options(config, wanted[i]));
        hosts_.push_back({std::move(id), device.get(), {}});
        VirtioPlug plug;
        plug.device = std::move(device);
        plug.pci_class = kScsiController;
        plug.transitional = true;
        plugs_.push_back(std::move(plug));
    }
    return {};
}

Result<ScsiHosts::Place> ScsiHosts::choose_place(const ScsiPlace& wanted) const {
    if (hosts_.empty())
        return Error("the machine has no SCSI host; expected mynah run --controller scsi");
    size_t host = 0;
    if (!wanted.controller.empty()) {
        const auto found = std::ranges::find(hosts_, wanted.controller, &Host::id);
        if (found == hosts_.end()) {
            std::string names;
            for (const Host& each : hosts_) names += (names.empty() ? "" : ", ") + each.id;
            return Error(
                fmt::format("controller={}: expected one of {}", wanted.controller, names));
        }
        host = static_cast<size_t>(found - hosts_.begin());
    }
    const std::set<ScsiAddress>& taken = hosts_[host].taken;
    ScsiAddress address{wanted.target.value_or(0), wanted.lun.value_or(0)};
    if (!wanted.target && !wanted.lun) {
        const auto in_use = [&](uint8_t target) {
            const auto first = taken.lower_bound({target, 0});
            return first != taken.end() && first->target == target;
        };
        while (in_use(address.target)) {
            if (address.target == virtio::scsi::kMaxTarget)
                return Error("no target is free; expected target= and lun=");
            ++address.target;
        }
    } else if (!wanted.lun) {
        while (taken.contains(address)) ++address.lun;
    }
    if (taken.contains(address))
        return Error(fmt::format("{}: another disk is there", place_name(address)));
    return Place{host, address};
}

// Firmware knows LUNs by small numbers only; a longer list does no harm.
void ScsiHosts::make_bootable(const Place& place, bool cdrom) {
    plugs_[place.host].bootable.push_back(
        {fmt::format("channel@0/disk@{:x},{:x}", place.address.target, place.address.lun), cdrom});
}

Result<void> ScsiHosts::add_disk(const MachineConfig& config, size_t index, BlockBackend* disk) {
    const DiskConfig& wanted = config.disks[index];
    MutexLock lock(mutex_);
    const auto place = choose_place(wanted.scsi);
    if (!place) return Error(fmt::format("--disk: {}: {}", wanted.path, place.error().message()));
    const std::string serial = disk_serial(config, wanted, index);
    Host& host = hosts_[place.value().host];
    host.taken.insert(place.value().address);
    std::unique_ptr<ScsiUnit> unit;
    if (wanted.cdrom) {
        auto drive = std::make_unique<CdDrive>(CdDriveOptions{.serial = serial});
        if (disk != nullptr) drive->insert(*disk);
        drives_[index] = {place.value(), drive.get()};
        unit = std::move(drive);
    } else {
        unit = make_disk(wanted, *disk, serial);
    }
    make_bootable(place.value(), wanted.cdrom);
    CHECK(host.device->add_unit(place.value().address, std::move(unit)));
    return {};
}

VirtioScsi& ScsiHosts::device(const Place& place) const {
    MutexLock lock(mutex_);
    return *hosts_[place.host].device;
}

// --- CD drives.

void ScsiHosts::insert_medium(size_t disk, BlockBackend& medium) {
    const Drive& drive = drives_.at(disk);
    VirtioScsi& device = this->device(drive.place);
    device.with_unit(drive.place.address, [&](ScsiUnit&) { drive.drive->insert(medium); });
    device.parameters_changed(drive.place.address, scsi::kSenseMediumChanged);
}

bool ScsiHosts::eject_medium(size_t disk, bool force) {
    const Drive& drive = drives_.at(disk);
    VirtioScsi& device = this->device(drive.place);
    bool ejected = false;
    device.with_unit(drive.place.address, [&](ScsiUnit&) { ejected = drive.drive->eject(force); });
    if (ejected) device.wait_for_work(drive.place.address);
    return ejected;
}

MediumTrays::Tray ScsiHosts::tray(size_t disk) {
    const Drive& drive = drives_.at(disk);
    Tray tray;
    device(drive.place).with_unit(drive.place.address, [&](ScsiUnit&) {
        const CdDriveState state = drive.drive->state();
        tray = {state.tray_open, state.locked};
    });
    return tray;
}

// --- Disks that come and go.

Result<void> ScsiHosts::check_place(const ScsiPlace& place) {
    MutexLock lock(mutex_);
    TRY(choose_place(place));
    return {};
}

Result<void> ScsiHosts::attach(const std::string& id, const DiskConfig& config,
                               std::unique_ptr<BlockBackend> disk, const std::string& serial) {
    MutexLock lock(mutex_);
    if (attached_.contains(id)) return Error(fmt::format("id '{}' is taken", id));
    const Place place = TRY(choose_place(config.scsi));
    Host& host = hosts_[place.host];
    host.taken.insert(place.address);
    auto unit = make_disk(config, *disk, serial);
    attached_[id] = {place, std::move(disk)};
    CHECK(host.device->add_unit(place.address, std::move(unit)));
    return {};
}

bool ScsiHosts::detach(const std::string& id) {
    Place place{};
    VirtioScsi* device = nullptr;
    {
        MutexLock lock(mutex_);
        const auto found = attached_.find(id);
        if (found == attached_.end()) return false;
        if (std::exchange(found->second.leaving, true)) return true;  // another call is at it
        place = found->second.place;
        device = hosts_[place.host].device;
    }
    CHECK(device->remove_unit(place.address, kFarewell));
    std::unique_ptr<BlockBackend> gone;
    MutexLock lock(mutex_);
    const auto found = attached_.find(id);
    gone = std::move(found->second.disk);
    attached_.erase(found);
    hosts_[place.host].taken.erase(place.address);
    return true;
}

std::vector<std::string> ScsiHosts::attached() const {
    MutexLock lock(mutex_);
    std::vector<std::string> ids;
    for (const auto& [id, disk] : attached_) ids.push_back(id);
    return ids;
}

}  // namespace mynah
