#include "control/control_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "base/check.h"
#include "control/qmp_session.h"
#include "host/listen_socket.h"

namespace mynah {

class ControlServer::Connection {
  public:
    Connection(Fd fd, ControlledMachine& machine) : fd_(std::move(fd)), session_(machine) {
        unsent_ = session_.take_output();
    }
    pollfd source() const {
        const int events = unsent_.empty() ? POLLIN : POLLOUT;
        return {fd_.get(), static_cast<short>(events), 0};
    }
    // False: it is over.
    bool serve(short events) {
        if ((events & (POLLIN | POLLHUP | POLLERR)) != 0 && unsent_.empty() && !read_some())
            return false;
        return write_some() && !(ending_ && unsent_.empty());
    }

  private:
    bool read_some() {
        std::array<char, 4096> buffer;
        const ssize_t got = recv(fd_.get(), buffer.data(), buffer.size(), 0);
        if (got < 0) return errno == EAGAIN || errno == EINTR;
        if (got == 0) return false;
        ending_ = !session_.receive({buffer.data(), static_cast<size_t>(got)});
        unsent_ += session_.take_output();
        return true;
    }
    bool write_some() {
        if (unsent_.empty()) return true;
        const ssize_t sent = send(fd_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN || errno == EINTR;
        unsent_.erase(0, static_cast<size_t>(sent));
        return true;
    }

    Fd fd_;
    QmpSession session_;
    std::string unsent_;
    bool ending_ = false;  // over when everything is sent
};

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::string& path,
                                                            const std::string& origin,
                                                            ControlledMachine& machine) {
    Fd listener = TRY(listen_unix(path, origin));
    return std::unique_ptr<ControlServer>(new ControlServer(path, std::move(listener), machine));
}

ControlServer::ControlServer(std::string path, Fd listener, ControlledMachine& machine)
    : path_(std::move(path)),
      listener_(std::move(listener)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      machine_(machine) {
    CHECK(wake_.valid());
    thread_ = std::thread([this] { run(); });
}

ControlServer::~ControlServer() {
    stop_ = true;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
    thread_.join();
    unlink(path_.c_str());
}

void ControlServer::accept_one() {
    Fd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    // Without descriptors a client cannot be taken, nor does it go away: look again later.
    if (!client.valid() &&
        (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
        accepts_ = false;
    if (!client.valid() || connections_.size() >= kConnectionsMost) return;
    connections_.emplace_back(std::move(client), machine_);
}

void ControlServer::run() {
    while (!stop_) {
        constexpr int kAcceptsAgainMs = 1000;
        const short clients = accepts_ ? POLLIN : 0;
        const int patience = accepts_ ? -1 : kAcceptsAgainMs;
        accepts_ = true;
        std::vector<pollfd> sources{{wake_.get(), POLLIN, 0}, {listener_.get(), clients, 0}};
        const size_t fixed = sources.size();
        for (const Connection& connection : connections_) sources.push_back(connection.source());
        if (poll(sources.data(), sources.size(), patience) < 0) continue;
        auto at = connections_.begin();
        for (size_t i = fixed; i < sources.size(); ++i) {
            const short events = sources[i].revents;
            at = events == 0 || at->serve(events) ? std::next(at) : connections_.erase(at);
        }
        if ((sources[1].revents & POLLIN) != 0) accept_one();
    }
    connections_.clear();
}

}  // namespace mynah
