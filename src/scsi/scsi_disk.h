#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "scsi/byte_writer.h"
#include "scsi/scsi_unit.h"

namespace mynah {

// How a disk presents itself; the rest it takes from its backend.
struct ScsiDiskOptions {
    std::string vendor = "Mynah";  // cut to 8 characters
    std::string product = "Disk";  // cut to 16
    std::string serial = "1";      // cut to 64
    bool removable = false;        // as a stick is; the medium never changes
    bool write_cache = true;       // to begin with; the host can turn it off and on
    bool provisioning = false;     // UNMAP and WRITE SAME, if the backend can do that
    bool attentions = false;       // tells of resets; hosts of simple bridges do not expect it
    bool queued = false;           // commands may overtake each other
};

// The command set of a disk [SPC-4; SBC-3] over a BlockBackend.
//
// Modelled: transfers of 6 to 16 bytes' descriptors, forced unit access, a write cache that can be
// switched off, UNMAP, WRITE SAME, the pages and lists that systems look at. Left out:
// reservations, comparing (VERIFY with data, COMPARE AND WRITE), protection information, saved mode
// pages, power conditions (accepted), formatting.
class ScsiDisk final : public ScsiUnit {
  public:
    static constexpr uint32_t kMaxUnmapDescriptors = 256;
    static constexpr uint64_t kMaxWriteSame = 64 << 20;  // bytes
    static constexpr uint64_t kPattern = 64 << 10;       // bytes that are repeated by WRITE SAME

    // The backend must outlive the disk and have at least one block.
    ScsiDisk(BlockBackend& backend, ScsiDiskOptions options);

    scsi::Sense execute(std::span<const uint8_t> cdb, DataPhase& data) override;
    scsi::Sense received(std::span<const uint8_t> cdb, DataPhase& data) override;
    scsi::Sense finish(const DataPhase& data, BlockStatus status) override;
    void sense_told() override { last_ = scsi::kSenseNone; }
    void reset() override;
    void attend(scsi::Sense attention) override;

  private:
    using Cdb = std::span<const uint8_t, 16>;
    using Bytes = std::span<const uint8_t>;
    struct Command;
    static const Command* find(uint8_t opcode, uint8_t action);
    static std::span<const Command> commands();
    bool has(const Command& command) const;

    scsi::Sense request_sense(Cdb cdb, DataPhase& data);
    scsi::Sense nothing(Cdb cdb, DataPhase& data);
    scsi::Sense transfer(Cdb cdb, DataPhase& data);
    scsi::Sense verify(Cdb cdb, DataPhase& data);
    scsi::Sense synchronize(Cdb cdb, DataPhase& data);
    bool within(uint64_t block, uint64_t count) const;
    // scsi_disk_commands.cpp
    scsi::Sense report_operation_codes(Cdb cdb, DataPhase& data);
    // scsi_disk_pages.cpp
    scsi::Sense inquiry(Cdb cdb, DataPhase& data);
    bool append_vital_page(uint8_t page, ByteWriter& to) const;
    void append_identification(ByteWriter& to) const;
    void append_block_limits(ByteWriter& to) const;
    scsi::Sense read_capacity10(Cdb cdb, DataPhase& data);
    scsi::Sense read_capacity16(Cdb cdb, DataPhase& data);
    scsi::Sense read_format_capacities(Cdb cdb, DataPhase& data);
    // scsi_disk_modes.cpp
    scsi::Sense mode_sense(Cdb cdb, DataPhase& data);
    scsi::Sense begin_mode_select(Cdb cdb, DataPhase& data);
    scsi::Sense mode_select(Cdb cdb, Bytes parameters);
    std::vector<std::vector<uint8_t>> mode_pages(bool changeable) const;
    // scsi_disk_provisioning.cpp
    scsi::Sense begin_unmap(Cdb cdb, DataPhase& data);
    scsi::Sense unmap(DataPhase& data);
    scsi::Sense begin_write_same(Cdb cdb, DataPhase& data);
    scsi::Sense write_same(Cdb cdb, DataPhase& data);
    uint64_t unmap_granularity() const;  // blocks

    BlockBackend& backend_;
    const BlockGeometry geometry_;
    const uint64_t blocks_;
    const ScsiDiskOptions options_;
    const bool thin_;  // storage can be taken from blocks
    bool write_cache_;
    scsi::Sense last_ = scsi::kSenseNone;  // what REQUEST SENSE tells
    std::vector<scsi::Sense> attentions_;  // to be told, each once, the first one first
};

}  // namespace mynah
