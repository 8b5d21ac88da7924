#include "paravirt/vhost/vhost_vsock.h"

#include "paravirt/virtio/config_bytes.h"
#include "spec/virtio/device.h"
#include "spec/virtio/vsock.h"

namespace mynah {

Result<std::unique_ptr<VhostVsock>> VhostVsock::open(uint64_t guest_cid,
                                                     std::unique_ptr<VhostLink> link,
                                                     GuestMemory& memory) {
    std::unique_ptr<VhostVsock> device(new VhostVsock(std::move(link), memory, guest_cid));
    TRY(device->begin());
    return device;
}

VhostVsock::VhostVsock(std::unique_ptr<VhostLink> link, GuestMemory& memory, uint64_t guest_cid)
    : VhostDevice(std::move(link), memory,
                  {.device_id = virtio::kDeviceVsock,
                   .rings = kRings,
                   .queue_size = kQueueSize,
                   .completes_soon = false}),
      guest_cid_(guest_cid) {}

uint64_t VhostVsock::features() const {
    return virtio::vsock::kFeatureStream | (backend_features() & virtio::vsock::kFeatureSeqpacket);
}

uint64_t VhostVsock::withheld_features() const {
    return virtio::vsock::kFeatureSeqpacket & ~backend_features();
}

void VhostVsock::read_config(uint64_t offset, std::span<std::byte> to) const {
    read_config_bytes(guest_cid_, offset, to);
}

}  // namespace mynah
