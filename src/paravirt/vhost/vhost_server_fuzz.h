#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "backend/vhost/vhost_user_server.h"
#include "paravirt/vhost/vhost_back_end.h"
#include "paravirt/virtio/virtio_block.h"
#include "testing/memory_disk.h"

namespace mynah {

// A front end that sends any messages, with descriptors of any kind, to a disk's back end. Each
// message of the input: request, flags, size, descriptors (kind and number), payload.
inline void fuzz_vhost_server(std::span<const uint8_t> input) {
    testing::MemoryDisk disk(64 * 1024);
    VirtioBlock device(disk, {.queues = 2, .id = "fuzz"});
    VhostBackEnd back_end(device, {.features = device.features(),
                                   .queues = 2,
                                   .protocol = vhost_user::kProtocolConfig |
                                               vhost_user::kProtocolInflightShmfd |
                                               vhost_user::kProtocolStatus});
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return;
    const Fd ours(pair[0]);
    fcntl(ours.get(), F_SETFL, O_NONBLOCK);
    VhostUserServer server(back_end, Fd(pair[1]));
    back_end.connect(&server);
    const Fd memory(memfd_create("fuzz", MFD_CLOEXEC));
    if (ftruncate(memory.get(), 1 << 20) != 0) return;
    // Rings in that memory, so that some of them are good.
    for (off_t at = 0; !input.empty() && at < (1 << 16); at += 4096)
        (void)!pwrite(memory.get(), input.data(), std::min<size_t>(input.size(), 4096), at);

    VhostUserMessage message;
    constexpr size_t kHead = 5;
    for (unsigned count = 0; count < 64 && input.size() >= kHead; ++count) {
        message.request = input[0];
        message.flags = input[1];
        message.size = std::min<uint32_t>((input[2] | input[3] << 8) % (vhost_user::kMaxPayload + 1),
                                          static_cast<uint32_t>(input.size() - kHead));
        message.fds.clear();
        for (unsigned i = 0; i < (input[4] & 7u) && i < vhost_user::kMaxFds; ++i) {
            message.fds.emplace_back((input[4] & 8) != 0
                                         ? eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)
                                         : dup(memory.get()));
        }
        input = input.subspan(kHead);
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
