#pragma once

#include <cstdint>
#include <memory>

#include "backend/display/display_source.h"
#include "backend/display/input_sink.h"
#include "paravirt/virtio/virtio_device.h"

namespace mynah {

// What a board is to plug in: into a virtio-mmio slot, or as a card of this PCI class.
struct VirtioPlug {
    std::unique_ptr<VirtioDevice> device;
    uint32_t pci_class = 0;
    bool direct = false;  // never behind an IOMMU: its requests name the memory's own addresses
    bool disk = false;  // firmware can boot from it
    DisplaySource* display = nullptr;  // what draws, if it is a display adapter
    // Where a person's input goes in, if it is a device for that.
    KeySink* keys = nullptr;
    PointerSink* pointer = nullptr;
};

}  // namespace mynah
