#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "backend/vsock/vsock_backend.h"
#include "base/log.h"
#include "base/mutex.h"
#include "paravirt/virtio/virtio_device.h"
#include "paravirt/virtio/vsock/vsock_connection.h"
#include "spec/virtio/vsock.h"

namespace mynah {

// The socket device [virtio-1.2 5.10]: streams between ports of the guest and programs of the host,
// which a VsockBackend reaches.
//
// Data goes from the host's socket into the guest's buffers, and back, without a copy between,
// unless the host takes less than the guest was allowed to send. Connections, and answers to packets
// of no connection, are bounded; beyond that the guest hears resets, or nothing. Left out: packets
// that keep their borders (SEQPACKET), and moving to another host (transport reset events).
class VirtioVsock final : public VirtioDevice, private VsockEvents {
  public:
    static constexpr uint16_t kQueueSize = 256;
    static constexpr size_t kMaxConnections = 1024, kMaxResets = 256;
    static constexpr uint32_t kFirstHostPort = 1u << 30;  // of connections that the host begins

    // The backend must outlive the device.
    VirtioVsock(VsockBackend& backend, uint64_t cid);
    ~VirtioVsock() override;

    uint32_t device_id() const override;
    uint64_t features() const override { return virtio::vsock::kFeatureStream; }
    uint16_t queue_count() const override { return 3; }
    uint16_t queue_size_max(uint16_t) const override { return kQueueSize; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override;
    void write_config(uint64_t, std::span<const std::byte>) override {}
    void negotiated(uint64_t) override {}
    void serve(VirtioQueue& queue) override EXCLUDES(mutex_);
    void reset() override EXCLUDES(mutex_);

  private:
    using Header = virtio::vsock::Header;
    using Key = std::pair<uint32_t, uint32_t>;  // host port, guest port
    using Connection = VsockConnection;

    // VsockEvents
    void incoming(VsockStream stream, uint32_t guest_port) override EXCLUDES(mutex_);
    void ready(VsockStream stream, bool gone) override EXCLUDES(mutex_);

    // --- guest to host: vsock_transmit.cpp ---
    void take_packets(VirtioQueue& queue) REQUIRES(mutex_);
    void packet(const Header& header, SliceList& data) REQUIRES(mutex_);
    void open_connection(const Header& header) REQUIRES(mutex_);
    void connection_packet(Connection& connection, const Header& header, SliceList& data)
        REQUIRES(mutex_);
    void data(Connection& connection, const SliceList& bytes) REQUIRES(mutex_);
    void shut_down(Connection& connection, uint32_t flags) REQUIRES(mutex_);
    void pass_on(Connection& connection) REQUIRES(mutex_);
    void after_pass_on(Connection& connection) REQUIRES(mutex_);

    // --- host to guest ---
    void send_packets() REQUIRES(mutex_);
    // False: the guest has no buffers.
    bool send_resets(VirtioQueue::Batch& batch) REQUIRES(mutex_);
    bool send_one(Connection& connection, VirtioQueue::Batch& batch) REQUIRES(mutex_);
    bool send_data(Connection& connection, VirtioQueue::Batch& batch) REQUIRES(mutex_);
    bool put(Connection& connection, uint16_t operation, VirtioQueue::Batch& batch,
             uint32_t flags = 0) REQUIRES(mutex_);
    bool take_buffer(VirtioQueue::Batch& batch, DescriptorChain& chain) REQUIRES(mutex_);
    bool has_something(const Connection& connection) const;
    void write_header(Connection& connection, Header header, DescriptorChain& chain)
        REQUIRES(mutex_);

    Connection* add(Key key, VsockStream stream) REQUIRES(mutex_);
    void drop(Key key) REQUIRES(mutex_);
    void list(Connection& connection) REQUIRES(mutex_);
    void reject(const Header& header) REQUIRES(mutex_);

    VsockBackend& backend_;
    const uint64_t cid_;
    LogLimit complaints_;
    // Held over the handling of packets, so that they keep their order; the backend's calls, which
    // do not block, and interrupts included: neither calls back.
    Mutex mutex_;
    VirtioQueue* receive_queue_ GUARDED_BY(mutex_) = nullptr;  // of the running driver
    std::map<Key, std::unique_ptr<Connection>> connections_ GUARDED_BY(mutex_);
    std::map<VsockStream, Connection*> by_stream_ GUARDED_BY(mutex_);
    std::deque<Key> listed_ GUARDED_BY(mutex_);  // have something to send, in turns
    std::deque<Key> resets_ GUARDED_BY(mutex_);  // answers to packets of no connection
    uint32_t next_port_ GUARDED_BY(mutex_) = kFirstHostPort;
    std::vector<virtio::UsedElement> used_ GUARDED_BY(mutex_);
};

}  // namespace mynah
