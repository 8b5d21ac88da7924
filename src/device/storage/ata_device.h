#pragma once

#include <cstdint>
#include <span>

#include "backend/block/data_phase.h"
#include "spec/ata/registers.h"

namespace mynah {

// The registers by which a host gives a command [ACS-3 7.1.2]. The 48-bit commands use all of
// features, count and lba, the others the low 8 bits, and for lba also the low 4 of device.
struct AtaTaskFile {
    uint8_t command = 0;
    uint8_t device = 0;
    uint16_t features = 0;
    uint16_t count = 0;
    uint64_t lba = 0;
};

// What they hold when the command is over.
struct AtaOutcome {
    uint8_t status = ata::status::kIdle;
    uint8_t error = 0;
    uint8_t device = 0;
    uint16_t count = 0;
    uint64_t lba = 0;

    bool failed() const { return (status & ata::status::kError) != 0; }
};

// One command from the host's registers to its outcome. A host adapter calls, in this order:
// begin(); packet(), if wants_packet; received(), when the buffer holds all that came from the
// host; then does the work on the medium; finish(). It stops after any of these if the outcome is
// a failure.
struct AtaCommand {
    AtaTaskFile taskfile;
    bool wants_packet = false;
    bool dma = false;          // else data go through the data register, where there is one
    bool queued = false;       // NCQ; the tag is in count 7:3
    uint32_t block_bytes = 0;  // PIO: bytes from interrupt to interrupt
    DataPhase data;
    AtaOutcome outcome;

    uint8_t tag() const { return static_cast<uint8_t>(taskfile.count >> 3 & 31); }
    void clear();
    // Ends the command with an error.
    void fail(uint8_t error);
};

// A disk or drive behind an ATA interface, serial or parallel; the chip, so one thread at a time.
class AtaDevice {
  public:
    virtual ~AtaDevice() = default;
    virtual void begin(AtaCommand& command) = 0;
    virtual void packet(AtaCommand& command, std::span<const uint8_t, ata::kPacketSize> cdb) = 0;
    virtual void received(AtaCommand& command) = 0;
    virtual void finish(AtaCommand& command, BlockStatus status) = 0;
    // A soft reset keeps the settings that the host made [ACS-3 7.45.2, SATA 3.1 11].
    enum class Reset : uint8_t { kPowerOn, kSoft };
    virtual void reset(Reset kind) = 0;
    // What the registers hold after a reset.
    virtual AtaOutcome signature() const = 0;
    virtual bool is_packet_device() const = 0;
};

}  // namespace mynah
