#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/network/descriptor_watch.h"
#include "backend/network/network_backend.h"
#include "base/mutex.h"
#include "base/result.h"

namespace mynah {

// A cable to another machine by Unix datagram sockets, one frame each, as QEMU's `-netdev dgram`
// has it: each side receives at a path of its own and sends to the other's. Neither side
// needs the other to be there; what is sent to nobody is lost.
class DatagramNetwork final : public NetworkBackend {
  public:
    // Error: names `origin` ("--network dgram=PATH"), the path and why.
    static Result<std::unique_ptr<DatagramNetwork>> open(const std::string& local_path,
                                                         const std::string& peer_path,
                                                         const std::string& origin);
    ~DatagramNetwork() override;

    void set_sink(NetworkSink* sink) override { delivery_.set_sink(sink); }
    NetworkOffloads transmit_offloads() const override { return {true, true, true, true}; }
    void set_receive_offloads(NetworkOffloads) override {}
    size_t transmit(std::span<const NetworkFrame> frames) override EXCLUDES(mutex_);
    void receive_ready() override { watch_.receive_ready(); }
    bool link_up() const override { return true; }

  private:
    DatagramNetwork(Fd socket, std::string local_path, std::string peer_path);
    void fetch() EXCLUDES(mutex_);
    bool send_now(std::span<const std::byte> frame) REQUIRES(mutex_);

    const Fd socket_;
    const std::string local_path_, peer_path_;
    FrameDelivery delivery_;
    std::vector<std::byte> buffer_;  // of the thread
    Mutex mutex_;
    std::vector<std::byte> whole_ GUARDED_BY(mutex_);
    bool connected_ GUARDED_BY(mutex_) = false;
    DescriptorWatch watch_;  // last: its thread uses the rest
};

}  // namespace mynah
