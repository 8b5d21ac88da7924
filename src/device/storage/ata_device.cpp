#include "device/storage/ata_device.h"

namespace mynah {

void AtaCommand::clear() {
    taskfile = {};
    wants_packet = dma = queued = false;
    block_bytes = 0;
    data.clear();
    outcome = {};
}

void AtaCommand::fail(uint8_t error) {
    outcome.status = ata::status::kIdle | ata::status::kError;
    outcome.error = error;
    wants_packet = false;
    data.clear();
}

}  // namespace mynah
