#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "backend/vsock/vsock_backend.h"
#include "base/mutex.h"
#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// Sockets of the guest as Unix sockets of the host, in the way Firecracker has it: a program that
// wants a port of the guest connects to PATH, sends "CONNECT port\n" and reads "OK host_port\n";
// what the guest connects to goes to whoever listens at PATH_port.
class UnixVsock final : public VsockBackend {
  public:
    static constexpr size_t kMaxStreams = 1024;  // those that did not say CONNECT yet included

    // Error: names `origin` ("--vsock socket=PATH") and why.
    static Result<std::unique_ptr<UnixVsock>> listen(const std::string& path,
                                                     const std::string& origin);
    ~UnixVsock() override;

    void set_events(VsockEvents* events) override EXCLUDES(events_mutex_);
    VsockStream connect(uint32_t port) override EXCLUDES(mutex_);
    void accept(VsockStream stream, uint32_t host_port) override;
    Transfer read(VsockStream stream, std::span<const std::span<std::byte>> to) override;
    Transfer write(VsockStream stream, std::span<const std::byte> from) override;
    void end_output(VsockStream stream) override;
    void close(VsockStream stream) override EXCLUDES(mutex_);

  private:
    struct Stream {
        explicit Stream(Fd socket) : fd(std::move(socket)) {}
        Fd fd;
        bool asked = false;  // it has said CONNECT; the thread's only
    };

    UnixVsock(std::string path, Fd listener);
    std::shared_ptr<Stream> find(VsockStream stream) const EXCLUDES(mutex_);
    VsockStream add(Fd fd, bool asked) EXCLUDES(mutex_);
    void run();
    void take_client();
    void event(VsockStream stream, uint32_t what) EXCLUDES(events_mutex_);
    void read_request(VsockStream id, Stream& stream) EXCLUDES(events_mutex_);

    const std::string path_;
    const Fd listener_;
    Fd poll_, stop_;
    mutable Mutex mutex_;
    VsockStream last_ GUARDED_BY(mutex_) = 0;
    std::map<VsockStream, std::shared_ptr<Stream>> streams_ GUARDED_BY(mutex_);
    Mutex events_mutex_;  // held while the events are told
    VsockEvents* events_ GUARDED_BY(events_mutex_) = nullptr;
    std::thread thread_;
};

}  // namespace mynah
