#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "backend/network/mac_address.h"
#include "paravirt/vhost/vhost_device.h"

namespace mynah {

struct VhostNetOptions {
    std::string path;    // of the back end's socket
    uint16_t pairs = 1;  // of queues
    // Else the back end's own, which not every one has.
    std::optional<MacAddress> address = std::nullopt;
    MacAddress spare_address = {};
    uint16_t mtu = 0;  // what driver and back end are told; 0: nothing
};

// A network card whose frames are somebody else's business: DPDK, a switch, a vDPA device, the
// host's kernel [virtio-1.2 5.1]. The configuration and the control queue are served here, as back
// ends know nothing of them: address, link (up while a back end is there), number of queue pairs,
// announcement after the back end was replaced. What reaches the card is not filtered.
class VhostNet final : public VhostDevice {
  public:
    static constexpr uint16_t kQueueSize = 256, kMaxPairs = 16;

    // Error: names the option, the path and why.
    static Result<std::unique_ptr<VhostNet>> open(const VhostNetOptions& options,
                                                  GuestMemory& memory);
    // Behind a connection that is there, of whatever kind.
    static Result<std::unique_ptr<VhostNet>> open(const VhostNetOptions& options,
                                                  std::unique_ptr<VhostLink> link,
                                                  GuestMemory& memory);
    ~VhostNet() override { end(); }

    uint64_t features() const override;
    uint64_t withheld_features() const override;
    uint16_t queue_count() const override { return static_cast<uint16_t>(2 * options_.pairs + 1); }
    void read_config(uint64_t offset, std::span<std::byte> to) const override;
    void write_config(uint64_t, std::span<const std::byte>) override {}
    void negotiated(uint64_t features) override;
    void reset() override;

  private:
    VhostNet(std::unique_ptr<VhostLink> link, GuestMemory& memory, const VhostNetOptions& options,
             uint16_t queue_size);
    Result<void> load_config(VhostClient& client) override;
    Result<void> prepare(VhostClient& client) override;
    uint64_t for_backend(uint64_t features) const override;
    // The first pair runs until the driver asks for more [virtio-1.2 5.1.6.5.5].
    bool on_at_start(uint16_t queue) const override { return queue / 2 < active_pairs_; }
    // Behind all pairs, or behind the first for a driver that knows only that [virtio-1.2 5.1.2].
    bool is_local(uint16_t queue) const override;
    void serve_local(VirtioQueue& queue) override;
    void connection_changed() override;
    uint8_t control(SliceList& command);
    uint8_t set_pairs(uint16_t pairs);

    const VhostNetOptions options_;
    std::atomic<uint16_t> active_pairs_{1};
    std::atomic<bool> announce_{false};
    MacAddress address_;
    std::atomic<bool> link_up_{true};  // as the back end says, if it does
};

}  // namespace mynah
