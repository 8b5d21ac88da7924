#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/network/mac_address.h"
#include "backend/network/network_backend.h"
#include "base/mutex.h"
#include "paravirt/virtio/net_filter.h"
#include "paravirt/virtio/virtio_device.h"
#include "spec/virtio/net.h"

namespace mynah {

struct VirtioNetOptions {
    MacAddress address;
    uint16_t mtu = 0;  // what the driver is told; 0: nothing
};

// The network device [virtio-1.2 5.1] over a NetworkBackend, with one pair of queues.
//
// Modelled: mergeable receive buffers, checksum and TCP segmentation offload both ways as far as
// the backend goes, the control queue (receive modes, MAC table and address, VLANs, announcement,
// guest offloads), link status, MTU. Left out: several queue pairs, hash reports and RSS, UDP
// segmentation, notification coalescing, the legacy interface.
//
// The driver's packets go to the backend from its own memory on the thread that rang. The card is
// the backend's sink only while a driver runs it: what comes otherwise is lost.
class VirtioNet final : public VirtioDevice, private NetworkSink {
  public:
    static constexpr uint16_t kQueueSize = 256, kControlQueueSize = 64;

    // The backend must outlive the device.
    VirtioNet(NetworkBackend& backend, const VirtioNetOptions& options);
    ~VirtioNet() override;

    uint32_t device_id() const override;
    uint64_t features() const override;
    uint16_t queue_count() const override { return 3; }
    uint16_t queue_size_max(uint16_t queue) const override;
    void read_config(uint64_t offset, std::span<std::byte> to) const override EXCLUDES(mutex_);
    void write_config(uint64_t, std::span<const std::byte>) override {}
    void negotiated(uint64_t features) override;
    void serve(VirtioQueue& queue) override;
    void reset() override;
    void connect(VirtioDeviceEvents* events) override { events_ = events; }

    // Asks the driver to make itself known to the network, as after a move to another host.
    void announce() EXCLUDES(mutex_);

  private:
    // A packet on its way out, in the driver's memory.
    struct Outgoing {
        DescriptorChain chain;
        NetworkFrame frame;
    };

    // NetworkSink
    size_t receive(std::span<const NetworkFrame> frames) override;
    void transmit_ready() override;
    void link_changed(bool up) override EXCLUDES(mutex_);

    bool has(uint64_t feature) const {
        return (negotiated_.load(std::memory_order_relaxed) & feature) != 0;
    }
    void attach(VirtioQueue& receive_queue);
    void set_guest_offloads(uint64_t bits);

    // --- driver to network ---
    void send(VirtioQueue& queue) EXCLUDES(transmit_mutex_);
    bool send_some(VirtioQueue& queue, VirtioQueue::Batch& batch) REQUIRES(transmit_mutex_);
    bool read_packet(Outgoing& packet) const;

    // --- network to driver ---
    enum class Stored : uint8_t { kYes, kDropped, kNoRoom };
    Stored store(const NetworkFrame& frame, VirtioQueue::Batch& batch);
    bool take_receive_chain(VirtioQueue::Batch& batch, DescriptorChain& chain);
    bool fits_negotiated(const FrameOffload& offload) const;
    void write_packet(const NetworkFrame& frame, size_t chains);
    void flush_used();

    // --- control ---
    void serve_control(VirtioQueue& queue);
    uint8_t control(DescriptorChain& chain) EXCLUDES(mutex_);

    NetworkBackend& backend_;
    const VirtioNetOptions options_;
    const NetworkOffloads transmit_offloads_;
    std::atomic<uint64_t> negotiated_{0};
    std::atomic<uint64_t> guest_offloads_{0};
    std::atomic<VirtioDeviceEvents*> events_{nullptr};

    mutable Mutex mutex_;
    NetFilter filter_ GUARDED_BY(mutex_);
    bool announce_ GUARDED_BY(mutex_) = false;

    // Orders the calls of the backend; taken before any other lock.
    Mutex transmit_mutex_;
    std::vector<std::unique_ptr<Outgoing>> outgoing_ GUARDED_BY(transmit_mutex_);
    std::atomic<VirtioQueue*> transmit_queue_{nullptr};

    Mutex attach_mutex_;  // orders set_sink()
    bool attached_ GUARDED_BY(attach_mutex_) = false;
    std::atomic<VirtioQueue*> receive_queue_{nullptr};
    // Of receive(), which the backend calls from one thread at a time.
    std::vector<DescriptorChain> chains_;
    std::vector<virtio::UsedElement> used_;
    std::vector<std::byte> whole_;
};

}  // namespace mynah
