#pragma once

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "backend/vhost/shared_memory.h"
#include "backend/vhost/vdpa_client.h"
#include "testing/byte_feed.h"

namespace mynah {

// Calls on a connection that is there already.
class ConnectedVdpaCalls final : public VdpaSocketCalls {
  public:
    explicit ConnectedVdpaCalls(int socket) : socket_(socket) {}
    int open(const char*, int) override { return socket_; }

  private:
    const int socket_;
};

// What a hostile device answers, all of it sent before it was asked. Each answer of the input: how
// it departs from a good one, and what follows the result. A good one answers the requests of
// VdpaClient in their order.
inline void send_fuzzed_vdpa_answers(int socket, testing::ByteFeed& feed) {
    static constexpr unsigned long kUsual[] = {VHOST_VDPA_GET_DEVICE_ID,
                                               VHOST_SET_OWNER,
                                               VHOST_GET_BACKEND_FEATURES,
                                               VHOST_SET_BACKEND_FEATURES,
                                               VHOST_VDPA_SET_STATUS,
                                               VHOST_GET_FEATURES,
                                               VHOST_VDPA_GET_VRING_NUM,
                                               VHOST_VDPA_GET_VQS_COUNT,
                                               VHOST_VDPA_GET_CONFIG_SIZE,
                                               VHOST_VDPA_GET_IOVA_RANGE,
                                               VHOST_VDPA_SET_CONFIG_CALL,
                                               VHOST_VDPA_GET_CONFIG,
                                               VHOST_VDPA_SET_STATUS,
                                               VHOST_VDPA_SET_STATUS,
                                               VHOST_SET_FEATURES,
                                               VHOST_VDPA_SET_STATUS,
                                               VHOST_VDPA_GET_STATUS,
                                               vdpa::kWrite,
                                               vdpa::kWrite,
                                               vdpa::kWrite,
                                               VHOST_SET_VRING_NUM,
                                               VHOST_SET_VRING_BASE,
                                               VHOST_SET_VRING_ADDR,
                                               VHOST_SET_VRING_CALL,
                                               VHOST_SET_VRING_KICK,
                                               VHOST_VDPA_SET_VRING_ENABLE,
                                               VHOST_VDPA_SUSPEND,
                                               VHOST_VDPA_SET_STATUS,
                                               vdpa::kWrite};
    constexpr size_t kConfigBytes = 60;
    for (const unsigned long usual : kUsual) {
        if (feed.empty()) return;
        const auto departs = feed.take<uint8_t>();
        const auto shape = vdpa::shape_of(usual);
        size_t size = shape ? shape->out : 0;
        if (usual == VHOST_VDPA_GET_CONFIG) size = sizeof(vhost_vdpa_config) + kConfigBytes;
        if ((departs & 1) != 0) size = feed.take<uint16_t>() % vhost_user::kMaxPayload;
        vdpa::Answer answer{};
        if ((departs & 2) != 0) answer.result = feed.take<int32_t>();
        vhost_user::Header header{static_cast<uint32_t>(usual),
                                  vhost_user::kVersion | vhost_user::kFlagReply,
                                  static_cast<uint32_t>(sizeof answer + size)};
        if ((departs & 4) != 0) header.request = feed.take<uint32_t>();
        if ((departs & 8) != 0) header.size = feed.take<uint32_t>();
        const auto content = feed.take_bytes(size);
        std::vector<uint8_t> message(sizeof header + sizeof answer + size);
        std::memcpy(message.data(), &header, sizeof header);
        std::memcpy(message.data() + sizeof header, &answer, sizeof answer);
        std::copy(content.begin(), content.end(), message.begin() + sizeof header + sizeof answer);
        if (send(socket, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return;
    }
}

// A front end goes through all it ever asks; errors end it, as they end a connection.
inline Result<void> ask_fuzzed_vdpa_device(VdpaSocketCalls& calls) {
    const auto client = TRY(VdpaClient::open("fuzz", calls));
    std::array<std::byte, 60> config;
    TRY(client->get_config(config));
    TRY(client->set_features(client->features()));
    TRY(client->set_status(11));
    (void)TRY(client->get_status());
    const auto memory = TRY(SharedMemory::create("fuzz", 1 << 16));
    const VhostRegion region{memory->fd(), 0, 0, memory->bytes().data(), memory->bytes().size()};
    calls.share({&region, 1});
    TRY(client->set_memory({&region, 1}));
    const EventFd kick, call;
    const std::byte* const base = memory->bytes().data();
    TRY(client->start_ring(0, {8, 0, base, base + 0x200, base + 0x400, kick.fd(), call.fd()}));
    TRY(client->enable_ring(0, true));
    return client->stop_device();
}

// Whether the device kept to the rules.
inline bool fuzz_vdpa_client(testing::ByteFeed feed) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return false;
    const Fd theirs(pair[1]);
    send_fuzzed_vdpa_answers(theirs.get(), feed);
    ::shutdown(theirs.get(), SHUT_WR);  // nobody waits for more
    ConnectedVdpaCalls calls(pair[0]);  // closed with the client
    return ask_fuzzed_vdpa_device(calls).ok();
}

}  // namespace mynah
