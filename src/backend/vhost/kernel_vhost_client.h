#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/vhost/vhost_client.h"
#include "backend/vhost/vhost_node.h"
#include "base/result.h"
#include "host/event_fd.h"
#include "host/system_calls.h"

namespace mynah {

// The host's kernel as a back end [linux/vhost.h]: it reads and writes the rings and the guest's
// memory by the addresses of this process.
//
// What is common to vhost-net and vhost-vsock. Each node has two rings; a card of several pairs of
// queues has as many nodes. Left out: the log of writes, an IOMMU.
class KernelVhostClient : public VhostClient {
  public:
    static constexpr uint16_t kRingsOfNode = 2;

    Watch end() const final;
    void shut() final { over_.signal(); }
    uint64_t features() const override { return features_; }
    Result<void> set_features(uint64_t bits) override;
    Result<void> set_memory(std::span<const VhostRegion> regions) final;
    Result<void> start_ring(uint16_t queue, const VhostRing& ring) final;

  protected:
    // Opens a node and becomes its owner; `wanted`: of the features that all nodes must have, those
    // that are used. Error: begins with the path.
    Result<void> add_node(const std::string& path, uint64_t wanted, SystemCalls& calls);
    std::vector<VhostNode>& nodes() { return nodes_; }
    uint64_t kernel_features() const { return features_; }

  private:
    std::vector<VhostNode> nodes_;
    uint64_t features_ = ~uint64_t{0};
    EventFd over_;  // how its end is seen, which never comes by itself
};

// vhost-net: the kernel moves frames between a card's rings and an interface (tap).
class KernelNetClient final : public KernelVhostClient {
  public:
    static constexpr const char* kPath = "/dev/vhost-net";
    // One interface's descriptor for each pair of queues, with headers of 12 bytes before frames
    // (IFF_VNET_HDR, TUNSETVNETHDRSZ); they stay the caller's, and live longer. Error: begins with
    // the path.
    static Result<std::unique_ptr<KernelNetClient>> open(std::vector<int> taps, SystemCalls& calls);

    // Those of the kernel, and those that the interface brings.
    uint64_t features() const override;
    Result<void> set_features(uint64_t bits) override;
    Result<void> enable_ring(uint16_t queue, bool on) override;
    Result<void> stop_ring(uint16_t queue) override { return enable_ring(queue, false); }
    Result<void> reset() override { return {}; }  // its rings have been stopped

  private:
    std::vector<int> taps_;
    bool cuts_udp_ = false;
};

// vhost-vsock: the kernel connects the guest's sockets (AF_VSOCK) with those of the host.
class KernelVsockClient final : public KernelVhostClient {
  public:
    static constexpr const char* kPath = "/dev/vhost-vsock";
    // Error: begins with the path.
    static Result<std::unique_ptr<KernelVsockClient>> open(uint64_t guest_cid, SystemCalls& calls);

    // It starts with both of its rings, and stops with them.
    bool runs_as_one() const override { return true; }
    Result<void> enable_ring(uint16_t queue, bool on) override;
    Result<void> stop_ring(uint16_t) override { return {}; }
    Result<void> stop_device() override { return run(false); }
    Result<void> reset() override { return run(false); }

  private:
    Result<void> run(bool on);
};

}  // namespace mynah
