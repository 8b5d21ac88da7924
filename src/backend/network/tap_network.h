#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/network/descriptor_watch.h"
#include "backend/network/network_backend.h"
#include "base/mutex.h"
#include "base/result.h"

namespace mynah {

// A network interface of the host [Linux, Documentation/networking/tuntap]. Checksums and
// segmentation are left to the host's stack (IFF_VNET_HDR), both ways as far as the card takes
// them.
class TapNetwork final : public NetworkBackend {
  public:
    // The interface is made if it is not there and the host allows it. Error: names `origin`
    // ("--network tap=NAME") and why.
    static Result<std::unique_ptr<TapNetwork>> open(const std::string& name,
                                                    const std::string& origin);
    // A new interface on a bridge of the host, which needs CAP_NET_ADMIN; it goes with the machine.
    static Result<std::unique_ptr<TapNetwork>> on_bridge(const std::string& bridge,
                                                         const std::string& origin);
    // A descriptor of the interface for somebody else who moves its frames; set up as over() says.
    static Result<Fd> descriptor(const std::string& name, const std::string& origin);
    // Over a descriptor that is set up already (IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, non-blocking); a
    // test gives one end of a socket pair.
    static Result<std::unique_ptr<TapNetwork>> over(Fd tap, const std::string& origin);
    ~TapNetwork() override;

    void set_sink(NetworkSink* sink) override { delivery_.set_sink(sink); }
    NetworkOffloads transmit_offloads() const override { return {true, true, true, true}; }
    void set_receive_offloads(NetworkOffloads offloads) override;
    size_t transmit(std::span<const NetworkFrame> frames) override;
    void receive_ready() override { watch_.receive_ready(); }
    bool link_up() const override { return true; }

  private:
    explicit TapNetwork(Fd tap) : tap_(std::move(tap)) {}
    void fetch();
    void write_datagrams(const NetworkFrame& frame) const;

    Fd tap_;
    bool cuts_udp_ = false;  // the host's stack does
    FrameDelivery delivery_;
    std::vector<std::byte> buffer_;  // of the thread
    DescriptorWatch watch_;          // last: its thread uses the rest
};

}  // namespace mynah
