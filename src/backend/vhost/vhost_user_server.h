#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/vhost/inflight_region.h"
#include "backend/vhost/vhost_bells.h"
#include "backend/vhost/vhost_memory.h"
#include "backend/vhost/vhost_user_socket.h"
#include "base/mutex.h"
#include "base/result.h"
#include "host/event_fd.h"

namespace mynah {

// The device that a front end drives. Called on the server's thread, one call at a time.
class VhostUserModel {
  public:
    // A ring that may run from now on.
    struct Ring {
        uint16_t index = 0;
        uint16_t size = 0;
        GuestPhys descriptors, available, used;
        uint16_t next_available = 0;
        InflightRegion* inflight = nullptr;  // where to keep book; null: nowhere
    };

    virtual ~VhostUserModel() = default;
    virtual uint64_t features() const = 0;           // of the device and of its rings
    virtual uint64_t protocol_features() const = 0;  // beside those of the server itself
    virtual uint16_t queue_count() const = 0;
    virtual uint16_t queue_size_max() const = 0;
    virtual void read_config(uint32_t offset, std::span<std::byte> to) = 0;
    virtual void write_config(uint32_t offset, std::span<const std::byte> from) = 0;
    // No ring runs during these. Null: the memory is gone.
    virtual void negotiated(uint64_t features) = 0;
    virtual void memory_changed(GuestMemory* memory) = 0;
    virtual void reset() = 0;
    // Error: the ring breaks a rule, a clause.
    virtual Result<void> start_ring(const Ring& ring) = 0;
    // Returns where in the available ring to go on, when nothing is in flight any more.
    virtual uint16_t stop_ring(uint16_t index) = 0;
    virtual void bell(uint16_t index) = 0;
};

// One connection of a vhost-user front end, served to its end: messages, memory, rings' descriptors
// [vhost-user]. Whatever the front end says is checked; one that breaks the rules loses its
// connection. Left out: packed rings, an IOMMU, in-band notifications, postcopy.
class VhostUserServer final : public VhostCallSink {
  public:
    VhostUserServer(VhostUserModel& model, Fd connection);
    ~VhostUserServer() override;
    VhostUserServer(const VhostUserServer&) = delete;
    VhostUserServer& operator=(const VhostUserServer&) = delete;

    // Until the front end goes, or `stop` is signalled. Error: why the connection was given up.
    Result<void> run(const EventFd& stop);
    // One message and its answer; for run() and for tests. Error: it breaks the rules.
    Result<void> handle(VhostUserMessage& message);

    // Used buffers: the front end wants to hear of it. Any thread.
    void call(uint16_t index) override;

  private:
    struct Vring {
        uint16_t size = 0, base = 0;
        std::optional<vhost_user::VringAddress> address;
        EventFd kick{Fd()};
        bool enabled = false;
        bool running = false;
    };
    using Request = vhost_user::Request;

    Result<void> wait_once(const EventFd& stop, bool& over);
    Result<bool> handle_device(VhostUserMessage& message);
    Result<bool> handle_ring(VhostUserMessage& message);
    Result<void> set_features(const VhostUserMessage& message);
    Result<void> set_protocol_features(const VhostUserMessage& message);
    Result<bool> handle_memory(VhostUserMessage& message);
    void change_memory(VhostMemory::Proposal proposal);
    Result<void> set_log(VhostUserMessage& message);
    Result<void> set_status(const VhostUserMessage& message);
    void reset_device();
    bool in_memory(const Vring& ring) const;
    uint64_t offered_features() const;
    uint64_t offered_protocol() const;
    Result<void> get_config(const VhostUserMessage& message);
    Result<void> set_config(const VhostUserMessage& message);
    Result<void> get_inflight(const VhostUserMessage& message);
    Result<void> set_inflight(VhostUserMessage& message);
    Result<void> set_size(const VhostUserMessage& message);
    Result<void> set_base(const VhostUserMessage& message);
    Result<void> set_address(const VhostUserMessage& message);
    Result<void> get_base(const VhostUserMessage& message);
    Result<void> set_kick(VhostUserMessage& message);
    Result<void> set_call(VhostUserMessage& message);
    Result<void> set_enable(const VhostUserMessage& message);

    Result<Vring*> ring_of(uint32_t index);
    Result<uint16_t> take_bell(VhostUserMessage& message, EventFd& into);
    Result<void> update(uint16_t index);
    void stop(uint16_t index);
    void stop_all();
    Result<void> reply(const VhostUserMessage& to, std::span<const std::byte> payload,
                       std::span<const int> fds = {});
    template <typename T>
    Result<void> reply_value(const VhostUserMessage& to, const T& value) {
        return reply(to, std::as_bytes(std::span(&value, 1)));
    }

    static constexpr int kMessageMs = 10000;

    VhostUserModel& model_;
    Fd connection_;
    VhostUserMessage message_;
    std::vector<Vring> rings_;
    VhostMemory memory_;
    std::unique_ptr<InflightRegion> inflight_;
    uint64_t features_ = 0, protocol_ = 0;
    uint64_t status_ = 0;  // the driver's, as the front end tells it [virtio-1.2 2.1]
    bool answered_ = false;
    Mutex call_mutex_;
    std::vector<std::unique_ptr<EventFd>> calls_ GUARDED_BY(call_mutex_);
};

}  // namespace mynah
