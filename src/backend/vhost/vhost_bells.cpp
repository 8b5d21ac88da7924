#include "backend/vhost/vhost_bells.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>

#include <vector>

namespace mynah {

Result<VhostWake> wait_for_bells(const EventFd& stop, int front_end,
                                 std::span<const EventFd* const> bells,
                                 const std::function<void(uint16_t index)>& ring) {
    std::vector<pollfd> fds;
    fds.push_back({stop.fd(), POLLIN, 0});
    fds.push_back({front_end, POLLIN, 0});
    constexpr size_t kFirstBell = 2;
    for (const EventFd* bell : bells) fds.push_back({bell != nullptr ? bell->fd() : -1, POLLIN, 0});
    if (poll(fds.data(), fds.size(), -1) < 0) return VhostWake::kBells;
    if (fds[0].revents != 0) return VhostWake::kStop;
    for (size_t i = kFirstBell; i < fds.size(); ++i) {
        if (fds[i].revents == 0) continue;
        const auto index = static_cast<uint16_t>(i - kFirstBell);
        if ((fds[i].revents & POLLIN) == 0 || !bells[index]->drain())
            return Error(fmt::format("the bell of ring {} is broken", index));
        ring(index);
    }
    return fds[1].revents != 0 ? VhostWake::kMessage : VhostWake::kBells;
}

bool at_end_of_stream(int socket) {
    char first;
    return recv(socket, &first, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

}  // namespace mynah
