#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "device/storage/ata_device.h"

namespace mynah::testing {

// Carries commands to an ATA device as a host adapter does, with no registers in between.
class AtaHost final : private MediumJobOwner {
  public:
    explicit AtaHost(AtaDevice& device) : device_(device) {}

    // What came from the device, or what is sent to it.
    std::vector<uint8_t> data;
    AtaCommand command;

    AtaOutcome run(AtaTaskFile taskfile, std::array<uint8_t, ata::kPacketSize> cdb = {}) {
        command.clear();
        command.taskfile = taskfile;
        device_.begin(command);
        if (command.wants_packet) device_.packet(command, cdb);
        move_data();
        return command.outcome;
    }

  private:
    void move_data() {
        DataPhase& phase = command.data;
        const bool to_host = phase.direction == DataPhase::Direction::kToHost;
        if (to_host) data.assign(phase.size, 0);
        if (phase.direction == DataPhase::Direction::kFromHost) {
            ASSERT_EQ(phase.size, data.size());
        }
        if (!phase.with_medium()) {
            if (to_host) {
                data = phase.buffer;
            } else if (phase.size > 0) {
                phase.buffer = data;
                device_.received(command);
            }
        }
        if (command.outcome.failed() || !phase.work.any()) return;
        const Slice slice = std::as_writable_bytes(std::span(data));
        const auto status = job_.start(phase.work, {&slice, 1});
        ASSERT_TRUE(status.has_value());
        device_.finish(command, *status);
    }
    void job_done(MediumJob&, BlockStatus) override { FAIL(); }

    AtaDevice& device_;
    MediumJob job_{*this};
};

}  // namespace mynah::testing
