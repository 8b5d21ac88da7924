#include "backend/vhost/vhost_user_listener.h"

#include <poll.h>

#include "host/listen_socket.h"

namespace mynah {

Result<std::unique_ptr<VhostUserListener>> VhostUserListener::listen(const std::string& path,
                                                                     const std::string& origin) {
    Fd listener = TRY(listen_unix(path, origin));
    return std::unique_ptr<VhostUserListener>(new VhostUserListener(std::move(listener), path));
}

VhostUserListener::~VhostUserListener() { unlink(path_.c_str()); }

Fd VhostUserListener::accept(const EventFd& stop) {
    for (;;) {
        pollfd fds[] = {{stop.fd(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
        if (poll(fds, 2, -1) < 0) continue;
        if (fds[0].revents != 0) return Fd();
        Fd peer = accept_or_pause(listener_, 0, stop.fd());
        if (peer.valid()) return peer;
    }
}

}  // namespace mynah
