#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/vhost/vhost_log.h"
#include "backend/vhost/vhost_user_socket.h"
#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// A piece of memory that a back end may reach.
struct VhostUserRegion {
    int fd = -1;
    uint64_t fd_offset = 0;
    uint64_t address = 0;  // by which descriptors name it
    std::byte* host = nullptr;
    uint64_t size = 0;  // bytes
};

// A split ring as a back end is told of it, by addresses of this process.
struct VhostUserRing {
    uint16_t size = 0;  // entries
    uint16_t base = 0;  // where in the available ring to begin
    const std::byte* descriptors = nullptr;
    const std::byte* available = nullptr;
    const std::byte* used = nullptr;
    int kick = -1, call = -1;  // eventfds
};

// One connection to a vhost-user back end, from the front end's side: requests and their answers
// [vhost-user]. Single-threaded. Whatever the back end answers is bounds-checked; one that is slow,
// or does not answer as the document says, makes an error after which the connection is of no use.
class VhostUserClient {
  public:
    // How long a back end may take for an answer.
    static constexpr int kPatienceMs = 10000;

    // Connects, and agrees on protocol features: those of `wanted` that the back end has. Error:
    // a clause.
    static Result<std::unique_ptr<VhostUserClient>> connect(const std::string& path,
                                                            uint64_t wanted);

    // The same over a connection that is there.
    static Result<std::unique_ptr<VhostUserClient>> adopt(Fd socket, uint64_t wanted);

    int socket() const { return socket_.get(); }
    // Ends the connection, so that whoever watches the socket sees it.
    void shut();
    uint64_t features() const { return features_; }
    bool has(uint64_t protocol_feature) const { return (protocol_ & protocol_feature) != 0; }
    // Most queues the back end has; 0: it does not say.
    uint64_t queue_limit() const { return queue_limit_; }

    // `socket` is where the back end sends requests of its own.
    Result<void> set_backend_socket(int socket);
    // Reads the configuration's first bytes; needs kProtocolConfig.
    Result<void> get_config(std::span<std::byte> to);
    Result<void> set_config(uint32_t offset, std::span<const std::byte> from);
    // With kFeatureLogAll if the back end is to log its writes.
    Result<void> set_features(uint64_t bits);
    // All of it, at the beginning: by slots where the back end has those, else by a table.
    Result<void> set_memory(std::span<const VhostUserRegion> regions);
    // Where to log writes; needs kProtocolLogShmfd. The log stays the caller's.
    Result<void> set_log(const VhostLog& log);
    // The driver's status [virtio-1.2 2.1]; needs kProtocolStatus.
    Result<void> set_status(uint8_t status);
    Result<uint64_t> get_status();
    Result<void> set_mtu(uint16_t mtu);
    Result<void> start_ring(uint16_t queue, const VhostUserRing& ring);
    Result<void> enable_ring(uint16_t queue, bool on);
    // The back end touches the ring and its buffers no longer when this returns.
    Result<void> stop_ring(uint16_t queue);
    Result<void> reset_device();

  private:
    explicit VhostUserClient(Fd socket) : socket_(std::move(socket)) {}

    Result<void> agree(uint64_t wanted);
    Result<void> add_slots(std::span<const VhostUserRegion> regions);
    // A request that is not answered but, where that was agreed on, by a status.
    Result<void> tell(vhost_user::Request request, std::span<const std::byte> payload,
                      std::span<const int> fds = {});
    template <typename T>
    Result<void> tell_value(vhost_user::Request request, const T& value,
                            std::span<const int> fds = {}) {
        return tell(request, std::as_bytes(std::span(&value, 1)), fds);
    }
    // A request that is answered; the answer is in reply_ afterwards.
    Result<void> ask(vhost_user::Request request, std::span<const std::byte> payload);
    Result<uint64_t> ask_value(vhost_user::Request request);

    Fd socket_;
    uint64_t features_ = 0, protocol_ = 0, queue_limit_ = 0;
    VhostUserMessage reply_;
    std::vector<vhost_user::MemoryRegion> slots_;  // that the back end has
};

}  // namespace mynah
