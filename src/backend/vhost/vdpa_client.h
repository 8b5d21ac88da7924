#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/vhost/linux_vhost.h"
#include "backend/vhost/vdpa_socket_calls.h"
#include "backend/vhost/vhost_client.h"
#include "backend/vhost/vhost_node.h"
#include "base/result.h"
#include "host/event_fd.h"
#include "host/system_calls.h"

namespace mynah {

// A vDPA device as the host's kernel offers it at /dev/vhost-vdpa-N [linux/vhost.h], or as
// `mynah serve vdpa` does at a socket: it runs rings of virtio itself, and is configured, given
// memory and started by the same requests, whoever it is.
//
// Memory is pinned and mapped for the device while it is given. The device sees addresses of
// descriptors as we name them (VhostRegion::address), and the rings by those as well.
class VdpaClient final : public VhostClient {
  public:
    // A node, or a socket. Error: names the path and why.
    static Result<std::unique_ptr<VdpaClient>> open(const std::string& path);
    // A node behind calls that outlive the client.
    static Result<std::unique_ptr<VdpaClient>> open(const std::string& path, SystemCalls& calls);

    uint32_t device_id() const override { return device_id_; }
    uint16_t queue_size_limit() const override { return queue_size_limit_; }

    Watch end() const override;
    void shut() override;
    int news() const override { return news_.fd(); }
    bool take_news() override { return news_.drain(); }

    uint64_t features() const override { return features_; }
    uint64_t queue_limit() const override { return queue_limit_; }
    bool has_config() const override { return true; }
    bool has_status() const override { return true; }
    bool runs_as_one() const override { return true; }

    // What lies behind the device's configuration reads as zero.
    Result<void> get_config(std::span<std::byte> to) override;
    Result<void> set_config(uint32_t offset, std::span<const std::byte> from) override;
    // Begins from a device that is reset, as the driver's status has it [virtio-1.2 3.1.1].
    Result<void> set_features(uint64_t bits) override;
    // One mapping for each region; what the device has already stays where it is.
    Result<void> set_memory(std::span<const VhostRegion> regions) override;
    Result<void> set_status(uint8_t status) override;
    Result<uint64_t> get_status() override;
    Result<void> start_ring(uint16_t queue, const VhostRing& ring) override;
    Result<void> enable_ring(uint16_t queue, bool on) override;
    Result<void> stop_ring(uint16_t) override { return {}; }
    // Suspends a device that can be, so that nothing is cut off in its middle, and resets it.
    Result<void> stop_device() override;
    Result<void> reset() override { return set_status(0); }

  private:
    struct Config;
    explicit VdpaClient(VhostNode node) : node_(std::move(node)) {}

    Result<void> introduce();
    Result<void> agree_on_back_end_features();
    Result<void> send(vhost_iotlb_msg what);
    Result<void> map(std::span<const VhostRegion> regions);
    Result<void> unmap();
    Result<uint64_t> address_of(const std::byte* host) const;

    std::unique_ptr<VdpaSocketCalls> socket_;  // behind the node that a socket is
    const VhostNode node_;
    const EventFd news_;
    EventFd over_;  // how a node's end is seen, which never comes by itself
    uint32_t device_id_ = 0, config_size_ = 0;
    uint16_t queue_size_limit_ = 0;
    uint64_t features_ = 0, back_end_features_ = 0, queue_limit_ = 0;
    vhost_vdpa_iova_range addresses_{0, ~uint64_t{0}};
    std::vector<VhostRegion> mapped_;
};

}  // namespace mynah
