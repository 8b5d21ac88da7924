#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "scsi/scsi_unit.h"

namespace mynah {

struct CdDriveOptions {
    std::string vendor = "MYNAH";     // cut to 8 characters
    std::string product = "DVD-ROM";  // cut to 16 characters
    std::string revision = "1";       // cut to 4 characters
    std::string serial;               // cut to 32 characters
};

// A drive as one sees it from outside.
struct CdDriveState {
    bool tray_open, locked;
};

// A DVD-ROM drive with the command set of [MMC-6], whatever carries its command packets; the chip,
// so one thread at a time. The medium is a backend of 2048-byte blocks of data, one track in one
// session.
//
// Modelled: what operating systems and firmware need to recognize, read, lock, eject and change a
// medium. Left out: audio, writing, raw sectors and subchannels, regions and copy protection.
class CdDrive final : public ScsiUnit {
  public:
    static constexpr uint32_t kBlockSize = 2048;

    explicit CdDrive(CdDriveOptions options);

    scsi::Sense execute(std::span<const uint8_t> cdb, DataPhase& data) override;
    scsi::Sense received(std::span<const uint8_t>, DataPhase&) override { return scsi::kSenseNone; }
    scsi::Sense finish(const DataPhase& data, BlockStatus status) override;
    void sense_told() override { last_ = scsi::kSenseNone; }
    void reset() override;
    void attend(scsi::Sense attention) override { attention_ = attention; }

    // --- the operator's side ---
    // Puts a medium in, in place of the one that is there, and closes the tray. The backend must
    // stay until it was taken out and every command that works on it is over.
    void insert(BlockBackend& medium);
    // Takes the medium out. False: the guest has locked the tray; it is asked to release it and
    // may then eject by itself. `force` asks nobody.
    bool eject(bool force);
    BlockBackend* medium() const { return medium_; }
    bool tray_open() const { return tray_open_; }
    CdDriveState state() const { return {tray_open_, locked_}; }

  private:
    using Cdb = std::span<const uint8_t>;
    // Event codes of the media class [MMC-6 table 312].
    enum class MediaEvent : uint8_t { kNone = 0, kEjectRequest = 1, kNew = 2, kRemoved = 3 };

    scsi::Sense dispatch(Cdb cdb, DataPhase& data);
    scsi::Sense dispatch_medium(Cdb cdb, DataPhase& data);
    scsi::Sense not_ready() const;
    uint32_t blocks() const;
    bool is_dvd() const;
    bool ready() const { return medium_ != nullptr && !tray_open_; }

    scsi::Sense read(DataPhase& data, uint64_t lba, uint64_t count);
    scsi::Sense read_cd(Cdb cdb, DataPhase& data);
    scsi::Sense read_capacity(DataPhase& data) const;
    scsi::Sense start_stop(Cdb cdb);
    scsi::Sense request_sense(Cdb cdb, DataPhase& data);
    // cd_drive_information.cpp
    scsi::Sense inquiry(Cdb cdb, DataPhase& data) const;
    scsi::Sense mode_sense(Cdb cdb, DataPhase& data) const;
    scsi::Sense get_configuration(Cdb cdb, DataPhase& data) const;
    scsi::Sense get_event_status(Cdb cdb, DataPhase& data);
    scsi::Sense mechanism_status(Cdb cdb, DataPhase& data) const;
    // cd_drive_disc.cpp
    scsi::Sense read_toc(Cdb cdb, DataPhase& data) const;
    scsi::Sense read_disc_information(Cdb cdb, DataPhase& data) const;
    scsi::Sense read_track_information(Cdb cdb, DataPhase& data) const;
    scsi::Sense read_dvd_structure(Cdb cdb, DataPhase& data) const;
    scsi::Sense read_sub_channel(Cdb cdb, DataPhase& data) const;

    const CdDriveOptions options_;
    BlockBackend* medium_ = nullptr;
    bool tray_open_ = false;
    bool locked_ = false;
    MediaEvent event_ = MediaEvent::kNone;
    scsi::Sense attention_ = scsi::kSensePowerOn;  // to be reported before the next command
    scsi::Sense last_ = scsi::kSenseNone;          // what REQUEST SENSE tells
};

}  // namespace mynah
