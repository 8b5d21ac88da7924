#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/network/descriptor_watch.h"
#include "backend/network/network_backend.h"
#include "backend/network/stream_framing.h"
#include "base/mutex.h"
#include "base/result.h"

namespace mynah {

// A cable to another machine: a Unix stream socket with the framing of QEMU's `-netdev stream`, so
// that QEMU can be the peer. One side listens, the other connects; the link is up while both are
// there. A listener takes the next peer when one has gone, and the other side tries again to
// connect.
class StreamNetwork final : public NetworkBackend {
  public:
    // Error: names `origin` ("--network stream=PATH"), the path and why. The peer of a listener
    // need not be there yet; to connect, it must.
    static Result<std::unique_ptr<StreamNetwork>> listen(const std::string& path,
                                                         const std::string& origin);
    static Result<std::unique_ptr<StreamNetwork>> connect(const std::string& path,
                                                          const std::string& origin);
    // The same; `greet` says what the peer wants to hear before frames, on every connection. Its
    // error is a clause.
    using Greet = std::function<Result<void>(int socket)>;
    static Result<std::unique_ptr<StreamNetwork>> connect(const std::string& path,
                                                          const std::string& origin, Greet greet);
    // Over a connection that is there already, non-blocking; when the peer goes it is over.
    static Result<std::unique_ptr<StreamNetwork>> over(Fd peer, const std::string& origin);
    ~StreamNetwork() override;

    void set_sink(NetworkSink* sink) override { delivery_.set_sink(sink); }
    NetworkOffloads transmit_offloads() const override { return {true, true, true, true}; }
    void set_receive_offloads(NetworkOffloads) override {}
    size_t transmit(std::span<const NetworkFrame> frames) override EXCLUDES(mutex_);
    void receive_ready() override { watch_.receive_ready(); }
    bool link_up() const override { return up_; }

  private:
    StreamNetwork(std::string path, bool listens) : path_(std::move(path)), listens_(listens) {}
    Result<void> begin(const std::string& origin);
    void look_for_peer();
    void attach(Fd peer) EXCLUDES(mutex_);
    void detach() EXCLUDES(mutex_);
    void fetch();
    void flush_rest() EXCLUDES(mutex_);
    bool send_rest() REQUIRES(mutex_);
    void send_frame(std::span<const std::byte> frame) REQUIRES(mutex_);

    static constexpr size_t kReadSize = 128 * 1024;
    static constexpr size_t kSendSize = 64 * 1024;  // sent from so many bytes on

    const std::string path_;
    const bool listens_;
    bool reconnects_ = true;
    Greet greet_;
    Fd listener_;
    std::atomic<bool> up_{false};
    FrameDelivery delivery_;
    std::vector<std::byte> buffer_;  // of the thread
    StreamFraming framing_;          // likewise
    Mutex mutex_;                    // orders what is written
    Fd peer_ GUARDED_BY(mutex_);
    std::vector<std::byte> rest_ GUARDED_BY(mutex_);  // framed and not sent yet
    std::vector<std::byte> whole_ GUARDED_BY(mutex_);
    DescriptorWatch watch_;  // last: its thread uses the rest
};

}  // namespace mynah
