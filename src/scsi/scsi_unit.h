#pragma once

#include <cstdint>
#include <span>

#include "backend/block/data_phase.h"
#include "spec/scsi/sense.h"

namespace mynah {

// A logical unit: what a command means, and what it leaves to be done, whatever carries it. The
// chip, so one thread at a time; the work that a command leaves is done outside, and several
// commands may be at that together.
//
// Whoever carries a command calls execute(), then moves data.size bytes as DataPhase says:
// - from the host into data.buffer: received() is called then, which may leave work;
// - if there is work: it is done, and finish() called with how it ended.
// The command has ended when one of these returned something else than kSenseNone: that is why it
// failed. It is kept for REQUEST SENSE as well, unless sense_told() says that the host has it.
class ScsiUnit {
  public:
    virtual ~ScsiUnit() = default;

    // A descriptor block; shorter ones continue with zeroes, of longer ones 16 bytes count.
    virtual scsi::Sense execute(std::span<const uint8_t> cdb, DataPhase& data) = 0;
    virtual scsi::Sense received(std::span<const uint8_t> cdb, DataPhase& data) = 0;
    virtual scsi::Sense finish(const DataPhase& data, BlockStatus status) = 0;
    virtual void sense_told() = 0;
    // Back to the state after power-on, which is the first thing it tells.
    virtual void reset() = 0;
    // What the next command is answered instead of being carried out [SAM-5 5.14].
    virtual void attend(scsi::Sense attention) = 0;
};

}  // namespace mynah
