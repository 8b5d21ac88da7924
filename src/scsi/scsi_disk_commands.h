#pragma once

#include <array>
#include <cstdint>

#include "scsi/scsi_disk.h"

namespace mynah {

// A command that a disk has.
struct ScsiDisk::Command {
    static constexpr uint8_t kNoAction = 0xff;

    uint8_t action;  // service action; kNoAction: the operation code has none
    bool provisioning;
    scsi::Sense (ScsiDisk::*begin)(Cdb, DataPhase&);
    // The descriptor block with ones where the disk looks, behind the operation code
    // [SPC-4 6.34.3].
    std::array<uint8_t, 16> usage;
};

namespace scsi {

// Bytes of a descriptor block, by its group [SPC-4 4.3.1]. Commands of 32 bytes are not here.
constexpr unsigned cdb_size(uint8_t opcode) {
    switch (opcode >> 5) {
        case 0:
            return 6;
        case 4:
            return 16;
        case 5:
            return 12;
        default:
            return 10;
    }
}

constexpr bool has_service_actions(uint8_t opcode) { return opcode == 0x9e || opcode == 0xa3; }

}  // namespace scsi
}  // namespace mynah
