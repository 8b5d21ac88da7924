#include "backend/network/passt_network.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cstring>
#include <utility>

#include "backend/network/stream_network.h"

extern char** environ;

namespace mynah {
namespace {

// The stream to a passt that ends with it.
class OwnPasst final : public NetworkBackend {
  public:
    OwnPasst(std::unique_ptr<StreamNetwork> stream, pid_t process)
        : stream_(std::move(stream)), process_(process) {}
    ~OwnPasst() override {
        stream_.reset();  // upon which it ends by itself, as it serves one client
        kill(process_, SIGTERM);
        waitpid(process_, nullptr, 0);
    }
    void set_sink(NetworkSink* sink) override { stream_->set_sink(sink); }
    NetworkOffloads transmit_offloads() const override { return stream_->transmit_offloads(); }
    void set_receive_offloads(NetworkOffloads offloads) override {
        stream_->set_receive_offloads(offloads);
    }
    size_t transmit(std::span<const NetworkFrame> frames) override {
        return stream_->transmit(frames);
    }
    void receive_ready() override { stream_->receive_ready(); }
    bool link_up() const override { return stream_->link_up(); }

  private:
    std::unique_ptr<StreamNetwork> stream_;
    const pid_t process_;
};

// Error: the number of why not.
Result<pid_t> spawn_passt(const Fd& socket, const std::string& origin) {
    // The child gets it under a number that is its alone, as ours is closed there.
    constexpr int kTheirs = 3;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, socket.get(), kTheirs);
    std::string words[] = {"passt", "--foreground", "--quiet", "--fd", std::to_string(kTheirs)};
    char* arguments[] = {words[0].data(), words[1].data(), words[2].data(),
                         words[3].data(), words[4].data(), nullptr};
    // Signals that are blocked here, to be waited for, must reach the child.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    pid_t process = 0;
    const int failure =
        posix_spawnp(&process, "passt", &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (failure != 0) {
        return Error(fmt::format("{}: passt cannot be started: {}; expected it to be installed",
                                 origin, std::strerror(failure)));
    }
    return process;
}

}  // namespace

Result<std::unique_ptr<NetworkBackend>> PasstNetwork::connect(const std::string& path,
                                                              const std::string& origin) {
    std::unique_ptr<NetworkBackend> stream = TRY(StreamNetwork::connect(path, origin));
    return stream;
}

Result<std::unique_ptr<NetworkBackend>> PasstNetwork::start(const std::string& origin) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return Error(fmt::format("{}: socketpair: {}", origin, std::strerror(errno)));
    Fd ours(pair[0]);
    Fd theirs(pair[1]);
    fcntl(ours.get(), F_SETFL, O_NONBLOCK);
    // A descriptor that has that number already would stay closed in the child.
    constexpr int kTheirs = 3;
    if (theirs.get() == kTheirs) theirs = Fd(fcntl(theirs.get(), F_DUPFD_CLOEXEC, kTheirs + 1));
    const pid_t process = TRY(spawn_passt(theirs, origin));
    auto stream = StreamNetwork::over(std::move(ours), origin);
    if (!stream) {
        kill(process, SIGTERM);
        waitpid(process, nullptr, 0);
        return stream.error();
    }
    return std::unique_ptr<NetworkBackend>(new OwnPasst(stream.take_value(), process));
}

}  // namespace mynah
