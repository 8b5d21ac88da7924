#pragma once

#include <string>

#include "device/storage/ata_device.h"
#include "scsi/cd_drive.h"

namespace mynah {

struct AtapiCdromOptions {
    std::string serial;                   // cut to 20 characters
    std::string model = "MYNAH DVD-ROM";  // cut to 40 characters
    std::string firmware = "1";           // cut to 8 characters
    bool serial_ata = true;
};

// A CdDrive behind an ATA interface: the PACKET feature set [ACS-3 4.3, ATA8-AAM]. Overlapped
// commands are left out, as everywhere.
class AtapiCdrom final : public AtaDevice {
  public:
    explicit AtapiCdrom(AtapiCdromOptions options);

    CdDrive& drive() { return drive_; }

    void begin(AtaCommand& command) override;
    void packet(AtaCommand& command, std::span<const uint8_t, ata::kPacketSize> cdb) override;
    void received(AtaCommand& command) override;
    void finish(AtaCommand& command, BlockStatus status) override;
    void reset(Reset kind) override;
    AtaOutcome signature() const override;
    bool is_packet_device() const override { return true; }

  private:
    void identify(AtaCommand& command) const;
    void set_features(AtaCommand& command);
    void fail_with_signature(AtaCommand& command) const;

    const AtapiCdromOptions options_;
    CdDrive drive_;
    uint8_t transfer_mode_;
};

}  // namespace mynah
