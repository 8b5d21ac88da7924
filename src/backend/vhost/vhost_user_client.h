#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/vhost/vhost_client.h"
#include "backend/vhost/vhost_user_socket.h"
#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// One connection to a vhost-user back end, from the front end's side: requests and their answers
// [vhost-user]. Whatever the back end answers is bounds-checked; one that is slow, or does not
// answer as the document says, makes an error after which the connection is of no use.
class VhostUserClient final : public VhostClient {
  public:
    // How long a back end may take for an answer.
    static constexpr int kPatienceMs = 10000;
    // A back end has this long for the rest of a message of its own that it has begun.
    static constexpr int kNewsMs = 1000;

    // Connects, and agrees on protocol features: those of `wanted` that the back end has. Error:
    // a clause.
    static Result<std::unique_ptr<VhostUserClient>> connect(const std::string& path,
                                                            uint64_t wanted);

    // The same over a connection that is there.
    static Result<std::unique_ptr<VhostUserClient>> adopt(Fd socket, uint64_t wanted);

    // What can be read from the socket is an answer that somebody waits for: only its end is news.
    Watch end() const override { return {socket_.get(), POLLRDHUP}; }
    void shut() override;
    int news() const override { return requests_.get(); }
    bool take_news() override;

    uint64_t features() const override { return features_; }
    bool has(uint64_t protocol_feature) const { return (protocol_ & protocol_feature) != 0; }
    uint64_t queue_limit() const override { return queue_limit_; }
    bool has_config() const override { return has(vhost_user::kProtocolConfig); }
    bool has_status() const override { return has(vhost_user::kProtocolStatus); }
    bool keeps_log() const override {
        return has(vhost_user::kProtocolLogShmfd) && (features_ & vhost_user::kFeatureLogAll) != 0;
    }

    Result<void> get_config(std::span<std::byte> to) override;
    Result<void> set_config(uint32_t offset, std::span<const std::byte> from) override;
    Result<void> set_features(uint64_t bits) override;
    // By slots where the back end has those, else by a table.
    Result<void> set_memory(std::span<const VhostRegion> regions) override;
    Result<void> set_log(const VhostLog& log) override;
    Result<void> set_status(uint8_t status) override;
    Result<uint64_t> get_status() override;
    Result<void> set_mtu(uint16_t mtu) override;
    Result<void> start_ring(uint16_t queue, const VhostRing& ring) override;
    Result<void> enable_ring(uint16_t queue, bool on) override;
    Result<void> stop_ring(uint16_t queue) override;
    // By a status of 0, or by a message of its own; nothing where the back end has neither.
    Result<void> reset() override;

  private:
    explicit VhostUserClient(Fd socket) : socket_(std::move(socket)) {}

    Result<void> agree(uint64_t wanted);
    Result<void> open_back_end_channel();
    Result<void> add_slots(std::span<const VhostRegion> regions);
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
    Fd requests_;  // our end of the back end's own socket
    uint64_t features_ = 0, protocol_ = 0, queue_limit_ = 0;
    VhostUserMessage reply_;
    std::vector<vhost_user::MemoryRegion> slots_;  // that the back end has
};

}  // namespace mynah
