#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/block/block_backend.h"
#include "spec/scsi/direct_access.h"

namespace mynah {

// The SCSI command set of a disk [SPC-4; SBC-3], as far as operating systems and firmware use it
// with USB sticks. It works out what a command means and holds the sense data; moving the bytes is
// the transport's job. Single-threaded.
//
// Left out: reservations, thin provisioning, protection information, saved mode pages, removal.
class ScsiDisk {
  public:
    struct Identity {
        std::string vendor = "Mynah";      // cut to 8 characters
        std::string product = "USB Disk";  // cut to 16
        std::string serial = "1";
    };
    ScsiDisk(const BlockGeometry& geometry, Identity identity, bool removable);

    // What is to be done for a command.
    struct Plan {
        enum class Kind : uint8_t {
            kGood,    // nothing to move, done
            kFailed,  // sense data says why
            kAnswer,  // `answer` goes to the host
            kAccept,  // `size` bytes of parameters come from the host; accept() takes them
            kRead,    // `size` bytes at `offset` go to the host
            kWrite,   // ... come from the host
            kSync,    // the backend is to flush
        };
        Kind kind = Kind::kGood;
        std::vector<uint8_t> answer;
        uint64_t offset = 0;  // bytes
        uint64_t size = 0;    // bytes
        bool durable = false;
    };
    // A descriptor block of 1 to 16 bytes.
    Plan begin(std::span<const uint8_t> command, uint8_t lun);
    // The parameters of a command with kAccept; false: refused, sense data says why.
    bool accept(std::span<const uint8_t> parameters);
    // How what the backend did for kRead, kWrite or kSync ended; false: the command failed.
    bool finish(Plan::Kind kind, BlockStatus status);

    void reset() { sense_ = scsi::disk::kNoSense; }
    const scsi::disk::Sense& sense() const { return sense_; }

  private:
    Plan fail(scsi::disk::Sense sense);
    Plan answer(std::vector<uint8_t> bytes, uint64_t allocated);
    Plan transfer(Plan::Kind kind, uint64_t block, uint64_t count, bool durable);
    Plan test_range(uint64_t block, uint64_t count);
    Plan inquiry(std::span<const uint8_t, 16> cdb);
    std::optional<std::vector<uint8_t>> vital_product_data(uint8_t page) const;
    Plan mode_sense(std::span<const uint8_t, 16> cdb);
    bool append_mode_pages(std::vector<uint8_t>& to, uint8_t page, bool changeable) const;
    Plan read_capacity10();
    Plan read_capacity16(std::span<const uint8_t, 16> cdb);
    std::vector<uint8_t> format_capacities() const;
    std::vector<uint8_t> sense_data() const;

    const BlockGeometry geometry_;
    const uint64_t blocks_;
    const Identity identity_;
    const bool removable_;
    scsi::disk::Sense sense_;
};

}  // namespace mynah
