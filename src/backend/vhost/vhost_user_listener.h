#pragma once

#include <memory>
#include <string>

#include "backend/vhost/vhost_user_server.h"
#include "base/result.h"
#include "host/event_fd.h"
#include "host/fd.h"

namespace mynah {

// A socket where front ends connect, one after the other: the next is served when the last has gone,
// since a device has one driver.
class VhostUserListener {
  public:
    // Error: names `origin` ("--socket PATH") and why.
    static Result<std::unique_ptr<VhostUserListener>> listen(const std::string& path,
                                                             const std::string& origin);
    ~VhostUserListener();
    VhostUserListener(const VhostUserListener&) = delete;
    VhostUserListener& operator=(const VhostUserListener&) = delete;

    // Waits for the next front end; an invalid descriptor when `stop` was signalled.
    Fd accept(const EventFd& stop);

  private:
    VhostUserListener(Fd listener, std::string path)
        : listener_(std::move(listener)), path_(std::move(path)) {}

    const Fd listener_;
    const std::string path_;
};

}  // namespace mynah
