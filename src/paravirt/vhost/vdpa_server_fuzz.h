#pragma once

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

#include "backend/vhost/vdpa_server.h"
#include "paravirt/vhost/vhost_back_end.h"
#include "paravirt/virtio/virtio_block.h"
#include "testing/memory_disk.h"

namespace mynah {

// Somebody who sends any requests, with descriptors of any kind, to a disk that is a vDPA device.
// Each of the input: which request (of those there are, or none), descriptor, size, payload.
inline void fuzz_vdpa_server(std::span<const uint8_t> input) {
    static constexpr unsigned long kRequests[] = {
        vdpa::kWrite,
        VHOST_SET_OWNER,
        VHOST_VDPA_GET_DEVICE_ID,
        VHOST_GET_FEATURES,
        VHOST_SET_FEATURES,
        VHOST_GET_BACKEND_FEATURES,
        VHOST_SET_BACKEND_FEATURES,
        VHOST_VDPA_GET_STATUS,
        VHOST_VDPA_SET_STATUS,
        VHOST_VDPA_GET_CONFIG,
        VHOST_VDPA_SET_CONFIG,
        VHOST_VDPA_SUSPEND,
        VHOST_VDPA_SET_CONFIG_CALL,
        VHOST_SET_VRING_NUM,
        VHOST_SET_VRING_BASE,
        VHOST_GET_VRING_BASE,
        VHOST_SET_VRING_ADDR,
        VHOST_SET_VRING_KICK,
        VHOST_SET_VRING_CALL,
        VHOST_SET_VRING_ERR,
        VHOST_VDPA_SET_VRING_ENABLE,
        VHOST_SET_MEM_TABLE,  // none of a vDPA device's
    };
    testing::MemoryDisk disk(64 * 1024);
    VirtioBlock device(disk, {.queues = 2, .id = "fuzz"});
    VhostBackEnd back_end(device, {.features = device.features(), .queues = 2, .protocol = 0});
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) return;
    const Fd ours(pair[0]);
    VdpaServer server(back_end, {2, 60}, Fd(pair[1]));
    back_end.connect(&server);
    const Fd memory(memfd_create("fuzz", MFD_CLOEXEC));
    if (ftruncate(memory.get(), 1 << 20) != 0) return;
    // Rings in that memory, so that some of them are good.
    for (off_t at = 0; !input.empty() && at < (1 << 16); at += 4096)
        (void)!pwrite(memory.get(), input.data(), std::min<size_t>(input.size(), 4096), at);

    VhostUserMessage message;
    constexpr size_t kHead = 3;
    for (unsigned count = 0; count < 64 && input.size() >= kHead; ++count) {
        message.request = static_cast<uint32_t>(kRequests[input[0] % std::size(kRequests)]);
        message.flags = 0;
        // As a rule of the right size.
        const auto shape = vdpa::shape_of(message.request);
        const size_t right = message.request == vdpa::kWrite ? sizeof(vdpa::IotlbMessage)
                             : shape                         ? shape->in
                                                             : 0;
        const size_t size = (input[1] & 0x80) != 0 ? input[2] : right;
        message.fds.clear();
        if ((input[1] & 1) != 0) message.fds.emplace_back(dup(memory.get()));
        if ((input[1] & 2) != 0) message.fds.emplace_back(eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
        input = input.subspan(kHead);
        message.size = static_cast<uint32_t>(std::min(size, input.size()));
        std::memcpy(message.payload.data(), input.data(), message.size);
        input = input.subspan(message.size);
        if (!server.handle(message)) break;
        for (uint16_t queue = 0; queue < 2; ++queue) back_end.ring_if_running(queue);
        char answer[1024];
        while (read(ours.get(), answer, sizeof answer) > 0) {
        }
    }
    back_end.connect(nullptr);
}

}  // namespace mynah
