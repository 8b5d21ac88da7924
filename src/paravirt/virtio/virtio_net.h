#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/network/mac_address.h"
#include "backend/network/network_backend.h"
#include "base/mutex.h"
#include "paravirt/virtio/net_filter.h"
#include "paravirt/virtio/net_hash.h"
#include "paravirt/virtio/net_steering.h"
#include "paravirt/virtio/virtio_device.h"
#include "spec/virtio/net.h"

namespace mynah {

struct VirtioNetOptions {
    MacAddress address;
    uint16_t mtu = 0;    // what the driver is told; 0: nothing
    uint16_t pairs = 1;  // of queues, 1 to kMaxPairs
    VirtioRings rings = {};
    bool rss = false;          // the driver may say which packets go to which pair
    bool hash_report = false;  // it may be told the packets' hashes
};

// The network device [virtio-1.2 5.1] over a NetworkBackend.
//
// Modelled: mergeable receive buffers, checksum, TCP and UDP segmentation offload both ways as far as
// the backend goes, the control queue (receive modes, MAC table and address, VLANs, announcement,
// guest offloads, pairs of queues, receive-side scaling), hash reports, link status, MTU, the legacy
// interface. Left out: notification coalescing.
//
// The driver's packets go to the backend from its own memory on the thread that rang. The card is
// the backend's sink only while a driver runs it: what comes otherwise is lost.
class VirtioNet final : public VirtioDevice, private NetworkSink {
  public:
    static constexpr uint16_t kQueueSize = 256, kControlQueueSize = 64, kMaxPairs = 16;

    // The backend must outlive the device.
    VirtioNet(NetworkBackend& backend, const VirtioNetOptions& options);
    ~VirtioNet() override;

    uint32_t device_id() const override;
    uint64_t features() const override;
    VirtioRings rings() const override { return options_.rings; }
    uint16_t queue_count() const override { return static_cast<uint16_t>(2 * options_.pairs + 1); }
    uint16_t queue_size_max(uint16_t queue) const override;
    void read_config(uint64_t offset, std::span<std::byte> to) const override EXCLUDES(mutex_);
    void write_config(uint64_t offset, std::span<const std::byte> from) override EXCLUDES(mutex_);
    void negotiated(uint64_t features) override;
    void serve(VirtioQueue& queue) override;
    void reset() override;
    void connect(VirtioDeviceEvents* events) override { events_ = events; }

    // Asks the driver to make itself known to the network, as after a move to another host (which
    // nothing does yet).
    void announce() EXCLUDES(mutex_);

  private:
    // A packet on its way out, in the driver's memory.
    struct Outgoing {
        DescriptorChain chain;
        NetworkFrame frame;
    };
    struct Pair {
        std::atomic<VirtioQueue*> transmit{nullptr}, receive{nullptr};
        // Orders the calls of the backend; taken before any other lock.
        Mutex transmit_mutex;
        std::vector<std::unique_ptr<Outgoing>> outgoing GUARDED_BY(transmit_mutex);
        // Of receive(), which the backend calls from one thread at a time.
        VirtioQueue::Batch batch;
        std::vector<virtio::UsedElement> used;
    };
    using FrameStart = std::array<std::byte, NetSteering::kLooksAt>;

    // NetworkSink
    size_t receive(std::span<const NetworkFrame> frames) override;
    void transmit_ready() override;
    void link_changed(bool up) override EXCLUDES(mutex_);

    bool has(uint64_t feature) const {
        return (negotiated_.load(std::memory_order_relaxed) & feature) != 0;
    }
    // Without num_buffers for a legacy driver that does not merge [virtio-1.2 5.1.6.1]; with the hash
    // if that is reported.
    size_t header_size() const;
    uint16_t control_queue() const;
    void attach();
    Pair* receiving_pair(std::span<const std::byte> start, std::optional<uint16_t> wanted);
    void set_guest_offloads(uint64_t bits);

    // --- driver to network ---
    void send(Pair& pair, VirtioQueue& queue) EXCLUDES(pair.transmit_mutex);
    bool send_some(Pair& pair, VirtioQueue& queue, VirtioQueue::Batch& batch)
        REQUIRES(pair.transmit_mutex);
    void note_flow(const NetworkFrame& frame, const Pair& pair);
    bool read_packet(Outgoing& packet) const;

    // --- network to driver ---
    enum class Stored : uint8_t { kYes, kDropped, kNoRoom };
    Stored store(const NetworkFrame& frame, const NetHash::Result& hash, Pair& pair);
    Stored receive_one(const NetworkFrame& frame);
    static bool take_receive_chain(Pair& pair, DescriptorChain& chain);
    bool fits_negotiated(const FrameOffload& offload) const;
    void write_packet(const NetworkFrame& frame, const NetHash::Result& hash, size_t chains,
                      Pair& pair);

    // --- control ---
    uint8_t control(SliceList& data) EXCLUDES(mutex_);
    uint8_t set_steering(uint8_t command, SliceList& data) EXCLUDES(mutex_);

    NetworkBackend& backend_;
    const VirtioNetOptions options_;
    const NetworkOffloads transmit_offloads_;
    std::atomic<uint64_t> negotiated_{0};
    std::atomic<uint64_t> guest_offloads_{0};
    std::atomic<VirtioDeviceEvents*> events_{nullptr};

    mutable Mutex mutex_;
    NetFilter filter_ GUARDED_BY(mutex_);
    NetHash hash_ GUARDED_BY(mutex_);
    bool announce_ GUARDED_BY(mutex_) = false;

    std::vector<Pair> pairs_;
    std::atomic<uint16_t> active_pairs_{1};
    NetSteering steering_;

    Mutex attach_mutex_;  // orders set_sink()
    bool attached_ GUARDED_BY(attach_mutex_) = false;
    // Of receive(), which the backend calls from one thread at a time.
    std::vector<DescriptorChain> chains_;
    std::vector<std::byte> whole_;
};

}  // namespace mynah
