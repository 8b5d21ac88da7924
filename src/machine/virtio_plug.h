#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/display/display_source.h"
#include "backend/display/input_sink.h"
#include "paravirt/virtio/virtio_device.h"

namespace mynah {

// What a board is to plug in: into a virtio-mmio slot, or as a card of this PCI class.
struct VirtioPlug {
    std::unique_ptr<VirtioDevice> device;
    uint32_t pci_class = 0;
    // What firmware can boot from behind it: paths in Open Firmware's words, from the card on.
    struct Bootable {
        std::string path;
        bool cdrom = false;
    };
    std::vector<Bootable> bootable = {};
    bool transitional = false;  // as a card, drivers of the legacy interface may use it
    bool direct = false;  // never behind an IOMMU: its requests name the memory's own addresses
    DisplaySource* display = nullptr;  // what draws, if it is a display adapter
    // Where a person's input goes in, if it is a device for that.
    KeySink* keys = nullptr;
    PointerSink* pointer = nullptr;
};

}  // namespace mynah
