#pragma once

#include <cstdint>
#include <memory>

#include "paravirt/virtio/virtio_pci.h"

namespace mynah {

// A virtio device on a PCI card of its own: the device, and the transport in front of it.
struct VirtioCard {
    VirtioCard(std::unique_ptr<VirtioDevice> made, const PciAttachment& attachment,
               uint32_t class_code, VirtioPci::Interface interface = VirtioPci::Interface::kModern)
        : device(std::move(made)), transport(*device, attachment, class_code, interface) {}

    std::shared_ptr<void> followed;  // the device's place in the machine's record
    std::unique_ptr<VirtioDevice> device;
    VirtioPci transport;  // behind the device it drives
};

}  // namespace mynah
