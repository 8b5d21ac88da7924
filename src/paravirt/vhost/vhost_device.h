#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "backend/vhost/shared_memory.h"
#include "backend/vhost/vhost_link.h"
#include "backend/vhost/vhost_log.h"
#include "base/log.h"
#include "base/mutex.h"
#include "memory/guest_memory.h"
#include "paravirt/vhost/driver_ring.h"
#include "paravirt/virtio/virtio_device.h"

namespace mynah {

// A virtio device whose requests are carried out by somebody else (VhostClient): another process
// over vhost-user, a vDPA device, the host's kernel. This is the front end, what is common to all
// types; a subclass has features, configuration and, where there are some, queues that it serves
// itself.
//
// The back end works on the guest's buffers, which lie in shared memory, but not on the guest's
// rings. It has rings of its own in memory of its own, from which chains are passed on by the
// processor that rang and to which they come back by the link's thread. The reasons:
// - a write to guest memory that an engine does not hear of leaves translated code behind that is
//   no longer there. What a back end wrote is reported here, before the guest can see that it did;
// - a back end that dies loses nothing: what was out is made available again to its successor, in
//   the order in which it came, without the back end having to keep a record (so no in-flight
//   region is asked for);
// - a back end reaches no ring of the guest and no interrupt but through checks;
// - packed rings, legacy drivers and event indices are nothing that a back end must know.
// It costs a copy of the descriptors. The used ring is looked at by the thread that would be woken
// to raise the interrupt anyway.
class VhostDevice : public VirtioDevice, private VhostLinkEvents {
  public:
    ~VhostDevice() override;

    uint32_t device_id() const final { return shape_.device_id; }
    uint16_t queue_size_max(uint16_t) const override { return shape_.queue_size; }
    void negotiated(uint64_t features) override;
    void serve(VirtioQueue& queue) final;
    void stopping(VirtioQueue& queue) final;
    void reset() override;
    void connect(VirtioDeviceEvents* events) final EXCLUDES(events_mutex_);

    // Whether the back end logs its writes, if it can: what it has written to requests that are
    // still out is reported by collect_writes() then; of others it is when they come back, log or
    // not. For who saves memory while the machine runs. Error: a clause.
    Result<void> log_writes(bool on) EXCLUDES(control_);
    void collect_writes() EXCLUDES(control_);

  protected:
    struct Shape {
        uint32_t device_id;
        uint16_t rings;       // the first so many queues are the back end's
        uint16_t queue_size;  // a power of two
        // Each chain comes back soon: worth waiting for before a ring is stopped, as back ends may
        // finish what they have begun even then.
        bool completes_soon;
    };
    // Entries of a queue that a back end can have, where `wanted` would be good.
    static uint16_t usable_queue_size(const VhostClient& client, uint16_t wanted) {
        const uint16_t limit = client.queue_size_limit();
        return limit == 0 ? wanted : std::min(wanted, std::bit_floor(limit));
    }
    // The memory must outlive the device.
    VhostDevice(std::unique_ptr<VhostLink> link, GuestMemory& memory, const Shape& shape);

    // Takes the link's first connection; from here on a back end may come and go. Error: names the
    // option.
    Result<void> begin();
    // Before the subclass goes.
    void end();

    uint64_t backend_features() const { return backend_features_; }
    uint64_t negotiated_features() const { return features_; }
    bool connected() const { return connected_; }
    bool runs_as_one() const { return runs_as_one_; }
    void tell_config_changed() EXCLUDES(events_mutex_);
    // Turns a ring on or off in the back end; what a ring is when it is started: `on_at_start`.
    void enable_ring(uint16_t queue, bool on) EXCLUDES(control_);
    // Writes to the back end's configuration.
    void send_config(uint32_t offset, std::span<const std::byte> from) EXCLUDES(control_);

    // --- what a subclass has ---
    // Reads the configuration from a back end that is new, or that says it has changed. Error: the
    // back end cannot be used; a clause.
    virtual Result<void> load_config(VhostClient&) { return {}; }
    // The driver is about to run.
    virtual Result<void> prepare(VhostClient&) { return {}; }
    virtual bool on_at_start(uint16_t) const { return true; }
    // Whether a queue is served by serve_local() instead of by the back end.
    virtual bool is_local(uint16_t queue) const { return queue >= shape_.rings; }
    virtual void serve_local(VirtioQueue&) {}
    // Those of the features that the driver has chosen which the back end is to know of.
    virtual uint64_t for_backend(uint64_t features) const { return features; }
    // The back end is there, or is not there any more. On the link's thread.
    virtual void connection_changed() {}

  private:
    struct Chain {
        DescriptorChain buffers;
        std::vector<DriverRing::Piece> pieces;
        uint64_t order = 0;
    };
    struct Ring {
        Mutex mutex;
        VirtioQueue* queue GUARDED_BY(mutex) = nullptr;
        std::unique_ptr<DriverRing> shared GUARDED_BY(mutex);
        std::atomic<bool> started{false};     // for the driver
        bool live GUARDED_BY(mutex) = false;  // in the back end
        uint64_t next_order GUARDED_BY(mutex) = 0;
        std::deque<std::unique_ptr<Chain>> waiting GUARDED_BY(mutex);  // not in the shared ring yet
        std::vector<std::unique_ptr<Chain>> out GUARDED_BY(mutex);     // by head of the shared ring
        size_t out_count GUARDED_BY(mutex) = 0;
        std::vector<std::unique_ptr<Chain>> spares GUARDED_BY(mutex);
        std::condition_variable_any idle;
    };
    // Chains the back end has done with, on their way to the driver.
    struct Done {
        VirtioQueue* queue = nullptr;
        std::vector<virtio::UsedElement> used;
        bool broken = false;
    };

    // VhostLinkEvents
    void called(uint16_t queue) override;
    void config_changed() override EXCLUDES(control_);
    void lost() override EXCLUDES(control_);
    Result<void> found(std::unique_ptr<VhostClient> client) override EXCLUDES(control_);

    void start(VirtioQueue& queue, Ring& ring) EXCLUDES(control_);
    static std::chrono::nanoseconds drain(Ring& ring, std::chrono::nanoseconds limit);
    Result<void> introduce(VhostClient& client) REQUIRES(control_);
    Result<void> tell_ring(VhostClient& client, uint16_t index) REQUIRES(control_);
    Result<void> start_in_backend(uint16_t index) REQUIRES(control_);
    void stop_in_backend(uint16_t index, std::vector<Done>& done) REQUIRES(control_);
    bool start_in_turn(VirtioQueue& queue, Ring& ring) EXCLUDES(control_);
    uint32_t stop_in_turn(Ring& ring, uint16_t index, std::vector<Done>& finished)
        REQUIRES(control_);
    void resume(uint16_t index);
    void give_up(const Error& why) REQUIRES(control_);
    bool take_chains(VirtioQueue& queue, Ring& ring);
    bool describe(Chain& chain) const;
    // Chains that the back end can never be given are dropped and counted: their queue is to be
    // told by reject(), without the ring's lock.
    bool pass_on(Ring& ring, uint32_t& impossible) REQUIRES(ring.mutex);
    static void reject(VirtioQueue& queue, uint32_t chains);
    void collect(Ring& ring, Done& done) REQUIRES(ring.mutex);
    void take_back(Ring& ring) REQUIRES(ring.mutex);
    static void hand_over(Done& done);
    static std::unique_ptr<Chain> new_chain(Ring& ring) REQUIRES(ring.mutex);

    GuestMemory& memory_;
    const Shape shape_;
    const uint64_t rings_address_;  // what the back end knows their memory as
    std::unique_ptr<SharedMemory> rings_memory_;
    std::vector<std::unique_ptr<Ring>> rings_;
    std::atomic<uint64_t> backend_features_{0}, features_{0};
    std::atomic<bool> connected_{false};
    // Held while they are called, so that they do not end meanwhile.
    Mutex events_mutex_;
    VirtioDeviceEvents* events_ GUARDED_BY(events_mutex_) = nullptr;
    LogLimit complaints_;
    // Guards the connection; taken before a ring's lock.
    Mutex control_;
    std::unique_ptr<VhostClient> client_ GUARDED_BY(control_);
    bool introduced_ GUARDED_BY(control_) = false;
    // Rings that were started stand still, as their device was stopped as one (VhostClient).
    std::atomic<bool> halted_{false};
    bool runs_as_one_ = false;                       // set once, by begin()
    uint64_t agreed_bits_ GUARDED_BY(control_) = 0;  // with the back end
    std::unique_ptr<VhostLog> log_ GUARDED_BY(control_);
    // What queues that stop may still wait for the back end, from one start of a queue on.
    std::chrono::nanoseconds drain_left_ GUARDED_BY(control_){};
    Done done_;  // of the link's thread
    std::unique_ptr<VhostLink> link_;
};

}  // namespace mynah
