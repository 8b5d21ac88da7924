#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "paravirt/virtio/virtio_device.h"

namespace mynah {

// A card to be put into a running machine, or one that is in it.
struct HotCard {
    std::string id;  // the operator's name for it
    uint32_t class_code = 0;
    std::shared_ptr<void> backend;  // what the device works on; goes after it
    std::unique_ptr<VirtioDevice> device;
};

}  // namespace mynah
