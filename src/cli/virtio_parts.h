#pragma once

#include <cstdint>

#include "base/result.h"
#include "cli/option_value.h"
#include "machine/virtio_config.h"

namespace mynah {

// The parts that every option for a virtio device takes: queues=N, packed=on, in_order=on, iommu=off. True:
// it was one of them. Errors are clauses without the part: "expected 1 to 8".
Result<bool> apply_virtio_part(VirtioConfig& config, const ValuePart& part, uint16_t most_queues);

}  // namespace mynah
