#include "cli/virtio_parts.h"

#include <fmt/core.h>

namespace mynah {

Result<bool> apply_virtio_part(VirtioConfig& config, const ValuePart& part, uint16_t most_queues) {
    if (part.key == "packed") {
        config.packed = TRY(parse_switch(part.value));
    } else if (part.key == "in_order") {
        config.in_order = TRY(parse_switch(part.value));
    } else if (part.key == "iommu") {
        config.iommu = TRY(parse_switch(part.value));
    } else if (part.key == "queues") {
        const auto number = parse_number(part.value);
        if (!number || number.value() == 0 || number.value() > most_queues)
            return Error(fmt::format("expected 1 to {}", most_queues));
        config.queues = static_cast<uint16_t>(number.value());
    } else {
        return false;
    }
    return true;
}

}  // namespace mynah
