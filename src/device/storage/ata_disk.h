#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "device/storage/ata_device.h"

namespace mynah {

class IdentifyBlock;

struct AtaDiskOptions {
    std::string serial;                // cut to 20 characters
    std::string model = "MYNAH DISK";  // cut to 40 characters
    std::string firmware = "1";        // cut to 8 characters
    uint64_t world_wide_name = 0;      // 0: none
    bool serial_ata = true;            // else parallel: no queued commands
};

// A disk with the ATA command set [ACS-3] over a BlockBackend.
//
// Modelled: addressing by cylinders, 28 and 48 bits; PIO, multiple, DMA, queued (NCQ) transfers;
// volatile write cache with flush and forced unit access; TRIM; power modes; general purpose logs
// for the directory and queued errors; SMART as far as a healthy disk needs it. Left out:
// security, host protected area, device configuration, streaming, trusted computing, long and
// uncorrectable sectors, timers of the power modes (they are accepted and never expire).
class AtaDisk final : public AtaDevice {
  public:
    static constexpr uint8_t kMaxMultiple = 16;    // sectors
    static constexpr uint16_t kMaxTrimBlocks = 8;  // blocks of 512 bytes
    static constexpr uint8_t kQueueDepth = 32;

    // The backend must outlive the disk.
    AtaDisk(BlockBackend& backend, AtaDiskOptions options);

    void begin(AtaCommand& command) override;
    void packet(AtaCommand& command, std::span<const uint8_t, ata::kPacketSize> cdb) override;
    void received(AtaCommand& command) override;
    void finish(AtaCommand& command, BlockStatus status) override;
    void reset(Reset kind) override;
    AtaOutcome signature() const override;
    bool is_packet_device() const override { return false; }

  private:
    enum class Addressing : uint8_t { k28, k48 };
    enum class Data : uint8_t { kPio, kMultiple, kDma };
    struct Extent {
        uint64_t lba;
        uint32_t sectors;
    };
    struct QueuedError {
        uint8_t tag;
        AtaTaskFile taskfile;
        AtaOutcome outcome;
    };

    // Each does a group of commands; false: the command is none of them.
    bool begin_transfer(AtaCommand& command);
    bool begin_queued(AtaCommand& command);
    bool begin_power(AtaCommand& command);
    bool begin_information(AtaCommand& command);
    bool begin_other(AtaCommand& command);

    void transfer(AtaCommand& command, BlockOperation operation, Addressing addressing, Data data,
                  bool durable = false);
    void verify(AtaCommand& command, Addressing addressing);
    void set_features(AtaCommand& command);
    bool set_transfer_mode(uint8_t mode);
    void set_parameters(AtaCommand& command);
    void read_log(AtaCommand& command);
    // ata_disk_identify.cpp
    void identify(AtaCommand& command) const;
    void describe_size(IdentifyBlock& id) const;
    void describe_transfers(IdentifyBlock& id) const;
    void describe_features(IdentifyBlock& id) const;
    // ata_disk_smart.cpp
    void smart(AtaCommand& command);
    void smart_read_log(AtaCommand& command) const;

    std::optional<Extent> extent(const AtaTaskFile& taskfile, Addressing addressing) const;
    std::optional<uint64_t> chs_to_lba(const AtaTaskFile& taskfile) const;
    void set_data(AtaCommand& command, Data data) const;
    static void fail(AtaCommand& command, uint8_t error);
    uint64_t sectors() const { return geometry_.size / geometry_.logical_block_size; }

    BlockBackend& backend_;
    const BlockGeometry geometry_;
    const AtaDiskOptions options_;
    // The cylinders, heads and sectors that the disk was told to have.
    uint16_t cylinders_ = 0;
    uint8_t heads_ = 0, sectors_per_track_ = 0;
    uint8_t multiple_ = 0;  // sectors in a block of READ MULTIPLE; 0: not set
    uint8_t transfer_mode_ = 0;
    bool write_cache_ = true, look_ahead_ = true, revert_ = true;
    bool standby_ = false;
    bool smart_enabled_ = true;
    std::optional<QueuedError> queued_error_;  // until the host has read the log
};

}  // namespace mynah
