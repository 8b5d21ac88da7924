#include "machine/removable_media.h"

#include <fmt/core.h>

#include "machine/medium_trays.h"

namespace mynah {

RemovableMedia::RemovableMedia(const std::vector<DiskConfig>& configs,
                               std::vector<std::unique_ptr<BlockBackend>>& disks, Open open)
    : open_(std::move(open)), disks_(disks) {
    for (size_t i = 0; i < configs.size(); ++i) {
        if (configs[i].cdrom)
            drives_.push_back({fmt::format("cd{}", drives_.size()), i, configs[i]});
    }
}

std::vector<RemovableDrive> RemovableMedia::drives(const Trays& trays) const {
    MutexLock lock(mutex_);
    std::vector<RemovableDrive> found;
    for (const Drive& drive : drives_) {
        const MediumTrays::Tray tray = trays(drive.disk).tray(drive.disk);
        found.push_back({drive.name, drive.config.path, tray.open, tray.locked});
    }
    return found;
}

Result<RemovableMedia::Drive*> RemovableMedia::find(const std::string& name) {
    if (drives_.empty()) return Error("the machine has no CD drive; expected --cdrom");
    if (name.empty() && drives_.size() == 1) return &drives_.front();
    std::string names;
    for (Drive& drive : drives_) {
        if (drive.name == name) return &drive;
        names += (names.empty() ? "" : ", ") + drive.name;
    }
    return Error(fmt::format("'{}': no such CD drive; expected one of {}", name, names));
}

Result<void> RemovableMedia::change(const Trays& trays, const std::string& drive_name,
                                    const std::string& path, bool force) {
    MutexLock lock(mutex_);
    Drive& drive = *TRY(find(drive_name));
    DiskConfig wanted = drive.config;
    wanted.path = path;
    std::unique_ptr<BlockBackend> medium;
    if (!path.empty()) medium = TRY(open_(wanted));
    MediumTrays& place = trays(drive.disk);
    if (!place.eject_medium(drive.disk, force)) {
        return Error(fmt::format("{}: the guest has locked the tray and was asked to release it; "
                                 "try again, or force it",
                                 drive.name));
    }
    disks_[drive.disk] = std::move(medium);
    drive.config = wanted;
    if (disks_[drive.disk] != nullptr) place.insert_medium(drive.disk, *disks_[drive.disk]);
    return {};
}

}  // namespace mynah
