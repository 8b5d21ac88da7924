#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "backend/vhost/vdpa_messages.h"
#include "backend/vhost/vhost_bells.h"
#include "backend/vhost/vhost_memory.h"
#include "backend/vhost/vhost_user_server.h"
#include "base/mutex.h"

namespace mynah {

// A vDPA device in software: it runs the rings of its driver directly, and answers the requests of
// a vhost-vdpa node [linux/vhost.h] that come over a socket (vdpa_messages.h), as the kernel
// would: with 0, or an error number. One connection, served to its end. What is no such request
// ends it. Left out: packed rings, several address spaces, memory that is only read.
class VdpaServer final : public VhostCallSink {
  public:
    struct Identity {
        uint32_t device_id;    // [virtio-1.2 5]
        uint32_t config_size;  // bytes
    };
    VdpaServer(VhostUserModel& model, const Identity& identity, Fd connection);
    ~VdpaServer() override;

    // Until the other side goes, or `stop` is signalled. Error: why the connection was given up.
    Result<void> run(const EventFd& stop);
    // One message and its answer; for run() and for tests. Error: it is none.
    Result<void> handle(VhostUserMessage& message);

    void call(uint16_t index) override;

  private:
    struct Vring {
        uint16_t size = 0, base = 0;
        std::optional<vhost_vring_addr> address;
        EventFd kick{Fd()};
        bool enabled = false, running = false;
    };
    // An argument, in and out.
    struct Argument {
        std::array<std::byte, vhost_user::kMaxPayload> bytes{};
        template <typename T>
        T as() const {
            T value;
            __builtin_memcpy(&value, bytes.data(), sizeof value);
            return value;
        }
        template <typename T>
        void put(const T& value) {
            __builtin_memcpy(bytes.data(), &value, sizeof value);
        }
    };

    // Each returns what the system call would.
    int ioctl(unsigned long request, Argument& argument, Fd descriptor);
    int get_or_set_device(unsigned long request, Argument& argument);
    int get_or_set_ring(unsigned long request, Argument& argument, Fd descriptor);
    int set_features(uint64_t bits);
    int set_back_end_features(uint64_t bits);
    int set_status(uint8_t status);
    int config(bool write, Argument& argument);
    int set_ring_size(Vring& ring, unsigned entries);
    int set_ring_address(Vring& ring, const vhost_vring_addr& address);
    int set_bell(unsigned long request, uint16_t index, Fd descriptor);
    int suspend();
    int change_memory(const vdpa::IotlbMessage& what, Fd descriptor);

    uint64_t offered() const;
    bool may_run(const Vring& ring) const;
    int update(uint16_t index);
    int update_all();
    void stop(uint16_t index);
    void stop_all();
    void reset();

    static constexpr int kMessageMs = 10000;

    VhostUserModel& model_;
    const Identity identity_;
    Fd connection_;
    VhostUserMessage message_;
    std::vector<Vring> rings_;
    VhostMemory memory_;
    uint64_t features_ = 0, back_end_features_ = 0;
    uint8_t status_ = 0;
    bool suspended_ = false;
    Fd config_call_;  // the configuration never changes
    Mutex call_mutex_;
    std::vector<EventFd> calls_ GUARDED_BY(call_mutex_);
};

}  // namespace mynah
