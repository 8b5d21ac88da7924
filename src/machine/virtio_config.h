#pragma once

#include <cstdint>
#include <optional>

namespace mynah {

// What the operator can choose for a virtio device, whatever its type.
struct VirtioConfig {
    std::optional<uint16_t> queues;  // nothing: what is best for the device
    bool packed = false;             // offer the packed ring
    bool in_order = false;           // offer to return buffers in order

    std::optional<bool> iommu;       // behind the machine's IOMMU; nothing: if there is one

    bool given() const { return queues || packed || in_order || iommu; }
};

}  // namespace mynah
