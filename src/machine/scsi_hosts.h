#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "backend/block/block_backend.h"
#include "base/mutex.h"
#include "base/result.h"
#include "machine/machine_config.h"
#include "machine/medium_trays.h"
#include "machine/virtio_plug.h"
#include "paravirt/virtio/scsi/scsi_address.h"

namespace mynah {

class CdDrive;
class VirtioScsi;

// The virtio SCSI hosts of a machine, and which disks and CD drives are behind them: those of the
// configuration, and others that come and go. The hosts are the board's; this outlives it, but is
// called only while it lives. Any thread.
class ScsiHosts final : public MediumTrays {
  public:
    // disks: the host sides of all configured disks; null: a drive without a CD.
    // Error: names the option and what is wrong.
    static Result<std::unique_ptr<ScsiHosts>> make(
        const MachineConfig& config, std::span<const std::unique_ptr<BlockBackend>> disks);
    ~ScsiHosts() override;

    // For the board, once.
    std::vector<VirtioPlug> take() { return std::move(plugs_); }

    // --- while the board lives ---
    void insert_medium(size_t disk, BlockBackend& medium) override;
    bool eject_medium(size_t disk, bool force) override;
    Tray tray(size_t disk) override;

    // Whether a disk could be attached there.
    Result<void> check_place(const ScsiPlace& place) EXCLUDES(mutex_);
    Result<void> attach(const std::string& id, const DiskConfig& config,
                        std::unique_ptr<BlockBackend> disk, const std::string& serial)
        EXCLUDES(mutex_);
    // False: no such disk is attached. Waits for the guest's last writes, but not for ever.
    bool detach(const std::string& id) EXCLUDES(mutex_);
    std::vector<std::string> attached() const EXCLUDES(mutex_);

  private:
    struct Host {
        std::string id;
        VirtioScsi* device;
        std::set<ScsiAddress> taken;
    };
    struct Place {
        size_t host;
        ScsiAddress address;
    };
    struct Drive {
        Place place;
        CdDrive* drive;
    };
    struct Attached {
        Place place;
        std::unique_ptr<BlockBackend> disk;
        bool leaving = false;
    };

    ScsiHosts() = default;
    Result<void> add_hosts(const MachineConfig& config);
    Result<void> add_disk(const MachineConfig& config, size_t index, BlockBackend* disk)
        EXCLUDES(mutex_);
    Result<Place> choose_place(const ScsiPlace& wanted) const REQUIRES(mutex_);
    VirtioScsi& device(const Place& place) const EXCLUDES(mutex_);
    void make_bootable(const Place& place, bool cdrom);

    std::vector<VirtioPlug> plugs_;
    std::map<size_t, Drive> drives_;  // by the number of the disk; constant after make()
    mutable Mutex mutex_;
    std::vector<Host> hosts_ GUARDED_BY(mutex_);
    std::map<std::string, Attached> attached_ GUARDED_BY(mutex_);
};

}  // namespace mynah
