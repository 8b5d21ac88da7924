#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "backend/vhost/vhost_log.h"
#include "base/result.h"

namespace mynah {

// A piece of memory that a back end may reach.
struct VhostRegion {
    int fd = -1;
    uint64_t fd_offset = 0;
    uint64_t address = 0;  // by which descriptors name it
    std::byte* host = nullptr;
    uint64_t size = 0;  // bytes
};

// A split ring as a back end is told of it, by addresses of this process.
struct VhostRing {
    uint16_t size = 0;  // entries
    uint16_t base = 0;  // where in the available ring to begin
    const std::byte* descriptors = nullptr;
    const std::byte* available = nullptr;
    const std::byte* used = nullptr;
    int kick = -1, call = -1;  // eventfds
};

// Who carries out a device's requests, as a front end drives it: a process (VhostUserClient), a
// vDPA device (VdpaClient) or the host's kernel (KernelVhostClient). Single-threaded, but for
// take_news(), which is the watching thread's. Errors are clauses; after one the back end is of no
// use and the front end calls shut().
class VhostClient {
  public:
    VhostClient() = default;
    virtual ~VhostClient() = default;
    VhostClient(const VhostClient&) = delete;
    VhostClient& operator=(const VhostClient&) = delete;

    // What to poll for to see that it ended.
    struct Watch {
        int fd = -1;
        short events = 0;
    };
    virtual Watch end() const = 0;
    // Makes whoever watches see the end.
    virtual void shut() = 0;
    // Readable when the back end has something to say; -1: never. take_news(): whether it was that
    // the configuration changed.
    virtual int news() const { return -1; }
    virtual bool take_news() { return false; }

    virtual uint64_t features() const = 0;
    // Most queues the back end has, most entries of one, the type of the device [virtio-1.2 5]; 0:
    // it does not say.
    virtual uint64_t queue_limit() const { return 0; }
    virtual uint16_t queue_size_limit() const { return 0; }
    virtual uint32_t device_id() const { return 0; }

    virtual bool has_config() const { return false; }
    virtual bool has_status() const { return false; }
    virtual bool keeps_log() const { return false; }
    // Whether rings are the device's as a whole: all of them are told before the driver runs, and
    // they stop together, by stop_device().
    virtual bool runs_as_one() const { return false; }

    // Reads the configuration's first bytes, or writes some; needs has_config().
    virtual Result<void> get_config(std::span<std::byte>) { return no("configuration"); }
    virtual Result<void> set_config(uint32_t, std::span<const std::byte>) {
        return no("configuration");
    }
    // With kFeatureLogAll if the back end is to log its writes.
    virtual Result<void> set_features(uint64_t bits) = 0;
    // All of it, at the beginning.
    virtual Result<void> set_memory(std::span<const VhostRegion> regions) = 0;
    // Where to log writes; needs keeps_log(). The log stays the caller's.
    virtual Result<void> set_log(const VhostLog&) { return no("log of writes"); }
    // The driver's status [virtio-1.2 2.1]; needs has_status().
    virtual Result<void> set_status(uint8_t) { return no("status"); }
    virtual Result<uint64_t> get_status() { return Error("the back end has no status"); }
    // The longest packet, for a back end that can be told.
    virtual Result<void> set_mtu(uint16_t) { return {}; }
    virtual Result<void> start_ring(uint16_t queue, const VhostRing& ring) = 0;
    virtual Result<void> enable_ring(uint16_t queue, bool on) = 0;
    // The back end touches the ring and its buffers no longer when this returns; of one that runs
    // as one stop_device() does that for all rings.
    virtual Result<void> stop_ring(uint16_t queue) = 0;
    virtual Result<void> stop_device() { return {}; }
    // The driver reset the device.
    virtual Result<void> reset() = 0;

  private:
    static Result<void> no(const char* what) {
        return Error(std::string("the back end has no ") + what);
    }
};

}  // namespace mynah
